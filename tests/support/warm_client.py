"""What stands for `reconciler` and for `python` in the folder of `warm.py`: has the server there run the command.

It starts in a hundredth of a second, with nothing imported that Python has not in it. What a warm process could not do
exactly alike is left to the real command instead: another program than the command, variables that change how Python
starts, another encoding, ignored signals, and files that are open beyond the standard three.
"""

# ruff: noqa: PTH118, PTH119, PTH120, PTH208
# pathlib would take longer to import than all the rest.
import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import sys
from typing import NoReturn

PASSED_ON = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM)


def command(name: str, words: list[str]) -> list[str] | None:
    """The words after `reconciler`; None if it is another program."""
    if name == "reconciler":
        return words
    return words[3:] if words[:3] == ["-P", "-m", "reconciler"] else None


def same() -> bool:
    """Whether a warm process would be the same as a fresh one here."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return (
        not any(name.startswith("PYTHON") for name in os.environ)
        and all(stream is not None and stream.encoding == "utf-8" for stream in streams)
        and not any(_signal.getsignal(number) is _signal.SIG_IGN for number in PASSED_ON)
        and len(os.listdir("/proc/self/fd")) == 4  # the fourth is the listing's own
    )


def real(name: str, words: list[str]) -> NoReturn:
    """Become the installed command."""
    program = os.path.join(os.path.dirname(sys.executable), name)
    os.execv(program, [program, *words])


def ask(folder: str, words: list[str]) -> int:
    """Have the server run it, and wait for its end: as `os.waitpid` says it."""
    umask = os.umask(0)
    os.umask(umask)
    request = marshal.dumps((words, dict(os.environb), umask, sys.stdin.errors, sys.stdout.errors))
    _signal.pthread_sigmask(_signal.SIG_BLOCK, PASSED_ON)  # until it is known whom they are for
    files = [0, 1, 2, os.open(".", os.O_PATH)]
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(os.path.join(folder, "socket"))
    descriptors = b"".join(one.to_bytes(4, sys.byteorder) for one in files)
    server.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
    server.sendall(request)
    process = received(server)

    def pass_on(number: int, _: object) -> None:
        try:
            os.kill(process, number)
        except ProcessLookupError:  # it has just ended
            return

    for number in PASSED_ON:
        _signal.signal(number, pass_on)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, PASSED_ON)
    return received(server)


def received(server: _socket.socket) -> int:
    """The next number that the server sends."""
    data = server.recv(4, _socket.MSG_WAITALL)
    if len(data) < 4:
        sys.exit("the warm server is gone")
    return int.from_bytes(data, "big")


def end(status: int) -> NoReturn:
    """End as the command did: with its exit code, or by its signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    here = os.path.realpath(__file__)
    called, given = os.path.basename(here), sys.argv[1:]
    asked = command(called, given)
    if asked is None or not same():
        real(called, given)
    end(ask(os.path.dirname(here), asked))
