"""dnspython: for each name a line of the name, milliseconds, and addresses; or ports and targets, for SRV."""
import sys
import time

import dns.exception
import dns.resolver

for name in sys.argv[1:]:
    kind = "SRV" if name.startswith("_") else "A"
    begin = time.monotonic()
    try:
        found = list(dns.resolver.resolve(name, kind, search=True))
    except dns.exception.DNSException:
        found = []
    texts = [f"{one.port}:{one.target.to_text(True)}" if kind == "SRV" else one.address for one in found]
    print(name, round((time.monotonic() - begin) * 1000), *texts)
