import functools
import hashlib
import http.server
import threading

import pytest
from jgo.env import LockedDependency, LockFile, compute_spec_hash
from jgo.maven import MavenContext

from cli.stack import jars
from cli.stack.errors import JarCorruptError, JarUnavailableError

PATH = "org/example/kafka_2.13/1.0/kafka_2.13-1.0.jar"
CONTENT = b"the broker"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def remote(tmp_path):
    """A repository on this machine; its directory."""
    root = tmp_path / "remote"
    (root / PATH).parent.mkdir(parents=True)
    (root / PATH).write_bytes(CONTENT)
    return root


@pytest.fixture
def local(tmp_path, monkeypatch, remote):
    """Fetch from that repository into an empty local one, by a lock file of one jar."""
    lock = tmp_path / "jgo.lock.toml"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    jar = LockedDependency("org.example", "kafka_2.13", "1.0", sha256=sha256)
    LockFile([jar]).save(lock)
    monkeypatch.setattr(jars, "_LOCK_FILE", lock)
    handler = functools.partial(QuietHandler, directory=remote)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        use_repositories(monkeypatch, tmp_path / "local", server.server_port)
        yield tmp_path / "local"
        server.shutdown()


def use_repositories(monkeypatch, local, port):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = functools.partial(
        MavenContext, repo_cache=local, remote_repos={"test": f"http://127.0.0.1:{port}"}
    )
    monkeypatch.setattr(jars, "MavenContext", context)
    monkeypatch.setattr(jars.time, "sleep", lambda _: None)


def fetch():
    said = []
    return jars.ensure_jars(said.append), said


def test_a_missing_jar_is_fetched_and_says_so(local):
    paths, said = fetch()
    assert paths == [local / PATH]
    assert paths[0].read_bytes() == CONTENT
    assert said == ["fetching 1 jars of Apache Kafka 1.0", "fetched 1 of 1 jars, 0 MiB"]


def test_what_is_there_needs_no_network(local, remote):
    fetch()
    (remote / PATH).unlink()
    paths, said = fetch()
    assert paths == [local / PATH]
    assert said == []


def test_a_cut_off_jar_is_fetched_again(local):
    (local / PATH).parent.mkdir(parents=True)
    (local / PATH).write_bytes(CONTENT[:3])
    fetch()
    assert (local / PATH).read_bytes() == CONTENT


def test_another_jar_than_the_locked_one_is_refused(local, remote):
    (remote / PATH).write_bytes(b"another broker")
    with pytest.raises(JarCorruptError, match=r"1\.0\.jar is not the jar"):
        fetch()


def test_a_jar_that_cannot_be_fetched_is_named(local, remote):
    (remote / PATH).unlink()
    with pytest.raises(JarUnavailableError, match=r"can't fetch org\.example:kafka"):
        fetch()


def test_the_lock_file_is_current_complete_and_names_no_host():
    lock = LockFile.load(jars._LOCK_FILE)
    assert lock.spec_hash == compute_spec_hash(jars._LOCK_FILE.with_name("jgo.toml"))
    assert all(jar.sha256 for jar in lock.dependencies)
    assert "://" not in jars._LOCK_FILE.read_text()
    assert jars.kafka_version() == "4.3.1"
