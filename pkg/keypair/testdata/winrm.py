# Writes the certificate that Nova makes for the user of the argument, and its PKCS#12
# file in base64.
import sys

from nova import crypto

private, certificate, fingerprint = crypto.generate_winrm_x509_cert(sys.argv[1])
print(certificate, end="")
print("fingerprint", fingerprint)
print("private", private)
