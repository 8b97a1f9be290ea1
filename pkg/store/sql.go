package store

import "strings"

// A where builds the conditions of a query. The zero where has none.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return "\n WHERE " + strings.Join(w.conditions, "\n   AND ")
}

// An insert writes rows of one table, many with one statement: that costs much
// less than one statement for each.
type insert struct {
	into string // INSERT INTO table (columns) VALUES
	row  string // (?, …)
}

// insertRows is how many rows a statement writes at most. More would not be faster.
const insertRows = 32

// run inserts n rows. values appends the values of row i to args.
func (in insert) run(tx *Tx, n int, values func(args []any, i int) []any) error {
	one, many := in.into+in.row, ""
	if n >= insertRows {
		many = one + strings.Repeat(", "+in.row, insertRows-1)
	}
	var args []any
	for i := 0; i < n; {
		text, end := one, i+1
		if n-i >= insertRows {
			text, end = many, i+insertRows
		}
		args = args[:0]
		for ; i < end; i++ {
			args = values(args, i)
		}
		if _, err := tx.exec(text, args...); err != nil {
			return err
		}
	}
	return nil
}
