# Reads file names from the arguments and writes, for each, what Nova says of it as
# ssh and as x509: the fingerprint, or "refused".
import logging, sys
logging.disable(logging.CRITICAL)
from nova import crypto, exception
import cryptography
print("cryptography", cryptography.__version__)
for name in sys.argv[1:]:
    verdicts = []
    for judge in (crypto.generate_fingerprint, crypto.generate_x509_fingerprint):
        try:
            with open(name, encoding="utf-8", newline="") as f:
                verdicts.append(judge(f.read()))
        except (exception.InvalidKeypair, UnicodeDecodeError):
            verdicts.append("refused")
    print(name.rsplit("/", 1)[-1], *verdicts)
