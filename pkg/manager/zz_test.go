package manager
import ("testing";"os/exec")
func TestZZ(t *testing.T) {
	h := newWorld(t)
	m := New(h.config)
	hh := &history{h, map[string]string{}}
	_=m
	w := newWorld(t)
	_ = w
	m = h.init()
	out, err := exec.Command("sh", "-c", "ls -la "+h.dir).CombinedOutput()
	t.Log(string(out), err)
	m.Close()
	out, err = exec.Command("sh", "-c", "ls -la "+h.dir).CombinedOutput()
	t.Log(string(out), err)
	hh.mustIssue(3)
	out, err = exec.Command("sh", "-c", "ls -la "+h.dir).CombinedOutput()
	t.Log(string(out), err)
}
