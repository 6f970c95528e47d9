"""A real Postfix: an instance of its own, with its own queue, ports and mailboxes, started and stopped by a test.

It relays for us, delivers to Maildirs of one made-up domain, and hands what comes back for our domain to our listener.
Nothing of the machine's own Postfix is touched.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port, wait_until_open

_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
POSTFIX = shutil.which("postfix", path=_SBIN)

# Where passengers have their mailboxes.
DOMAIN = "passengers.example"

needs_postfix = pytest.mark.skipif(
    POSTFIX is None or os.geteuid() != 0,
    reason="a Postfix of our own needs root and Postfix (Debian: apt-get install postfix)",
)

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtp_host_lookup = native
biff = no
alias_maps =
local_recipient_maps =
# An unknown user is taken in first and comes back as a bounce, as where the relay does not know the mailboxes.
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mailboxes
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
relay_domains = example.com
transport_maps = inline:{{ {{ example.com = {listener} }} }}
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
lmtp      unix - - n - - lmtp
virtual   unix - n n - - virtual
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    """A running Postfix. `folder`: all that is its own."""

    port: int
    folder: Path

    def mails(self, user: str) -> list[bytes]:
        """What is in a mailbox, in the order of arrival."""
        new = self.folder / "mailboxes" / user / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.is_dir() else []

    def queued(self) -> str:
        """Its queue, as `postqueue -p` writes it."""
        command = ["postqueue", "-c", str(self.folder / "etc"), "-p"]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=_environment()).stdout

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


@contextmanager
def postfix(users: Sequence[str], listener: str) -> Iterator[Postfix]:
    """Run a Postfix with mailboxes for `users` of `DOMAIN`.

    `listener`: the transport for what comes back, such as `lmtp:inet:127.0.0.1:2424` or `smtp:[127.0.0.1]:2525`.
    """
    assert POSTFIX is not None
    nobody = pwd.getpwnam("nobody")
    # Not pytest's folder: Postfix becomes somebody who may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))
    try:
        folder.chmod(0o755)
        for name in ("etc", "queue", "data", "mailboxes"):
            (folder / name).mkdir(mode=0o755)
        shutil.chown(folder / "data", "postfix")
        os.chown(folder / "mailboxes", nobody.pw_uid, nobody.pw_gid)
        found = Postfix(free_port(), folder)
        mailboxes = ", ".join(f"{{ {user}@{DOMAIN} = {user}/ }}" for user in users)
        settings = {"folder": folder, "domain": DOMAIN, "mailboxes": mailboxes, "listener": listener}
        main = _MAIN.format(**settings, uid=nobody.pw_uid, gid=nobody.pw_gid)
        (folder / "etc/main.cf").write_text(main, encoding="ascii")
        (folder / "etc/master.cf").write_text(_MASTER.format(port=found.port), encoding="ascii")
        with _running(found):
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(found: Postfix) -> Iterator[None]:
    command = [POSTFIX or "", "-c", str(found.folder / "etc")]
    output = found.folder / "start"
    with output.open("wb") as written:
        started = subprocess.Popen([*command, "start-fg"], stdout=written, stderr=written, env=_environment())
        try:
            try:
                wait_until_open(found.port)
            except AssertionError:
                raise AssertionError(output.read_text("utf-8", "replace") + found.log()) from None
            yield
        finally:
            subprocess.run([*command, "stop"], capture_output=True, check=False, env=_environment())
            deadline = time.monotonic() + 20
            while started.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if started.poll() is None:
                started.kill()
            started.wait()


def _environment() -> dict[str, str]:
    return {"PATH": _SBIN, "LC_ALL": "C"}
