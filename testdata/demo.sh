#!/bin/sh
# The main job of x509ctl, a step at a time, in ./demo. Run it as often as you like:
# what exists stays, and each run issues a new certificate.
set -eu

x509ctl=${1:?usage: demo.sh PATH-OF-X509CTL}
X509CTL_DIR=$PWD/demo/state
export X509CTL_DIR
mkdir -p demo

step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
plain() { printf '\n# %s\n' "$*"; }
if ! [ -t 1 ] || [ -n "${NO_COLOR:-}" ]; then step() { plain "$@"; }; fi
run() { printf '$ %s\n' "$*"; "$@"; }
ctl() { printf '$ x509ctl %s\n' "$*"; "$x509ctl" "$@"; }

work=$(mktemp -d demo/run-XXXXXX)

step "A CA for the cluster, made once."
ctl ca init --cluster-name cluster1.example.com --if-missing

step "A node that may have certificates, by its name and its address."
ctl node add node1.example.com --ip 192.0.2.1 --if-missing

step "On the node: a key that never leaves it, and a request, made by openssl."
run openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "$work/node1.key" \
	-out "$work/node1.csr" -subj /CN=node1.example.com -addext subjectAltName=DNS:node1.example.com,IP:192.0.2.1

step "The request is checked name by name, and signed for a day."
ctl cert sign-csr "$work/node1.csr" --out "$work/node1.pem"

step "openssl accepts the certificate, for server and client."
run openssl verify -x509_strict -purpose sslserver -CAfile "$X509CTL_DIR/ca/bundle.pem" "$work/node1.pem"
run openssl verify -x509_strict -purpose sslclient -CAfile "$X509CTL_DIR/ca/bundle.pem" "$work/node1.pem"

step "A request for somebody else's name is refused."
run openssl req -new -key "$work/node1.key" -out "$work/other.csr" -subj /CN=www.example.org
ctl cert sign-csr "$work/other.csr" --out "$work/other.pem" || printf '(exit status %s)\n' "$?"

step "Key and certificate in one call, as PKCS#12; the password is made up and told once."
ctl cert issue node1.example.com --p12 "$work/node1.p12"

step "Everything that was issued is on record."
ctl cert list

step "The files of this run are in $work, the CA in $X509CTL_DIR."
