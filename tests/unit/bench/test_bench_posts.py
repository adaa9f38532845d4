"""What the benchmark's senders put on the wire, and when they take an answer for whole."""

import socket
from collections.abc import Iterator

import pytest
from bench.messages import ID_SLOT, spoken, templates
from bench.programs.posts import Connection, Requests, Target

TARGET = Target(0, "/v1/batch", "wk_bench", [b'{"batch":["%b","%b"]}' % (ID_SLOT, ID_SLOT)])


@pytest.fixture
def line() -> Iterator[tuple[Connection, socket.socket]]:
    """A sender's connection, and the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(listener.getsockname()[1])
        server, _ = listener.accept()
        with server:
            yield connection, server
        connection.close()


def test_every_message_of_every_request_has_an_id_of_its_own() -> None:
    """Else the log would take them for duplicates, and cost less than it does."""
    requests = Requests(TARGET)
    ids = [one for _ in range(50) for one in requests.next()[1]]
    assert len(set(ids)) == 100


def test_the_ids_stand_where_the_slots_were() -> None:
    """And the body is as long as its head says."""
    request, ids = Requests(TARGET).next()
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b'{"batch":["%b","%b"]}' % tuple(ids)
    assert f"Content-Length: {len(body)}".encode() in head


def test_bodies_come_in_turn() -> None:
    """Messages differ, so that nothing is compressed or cached better than it would be."""
    bodies = templates(spoken(3))
    requests = Requests(Target(0, "/v1/track", "wk_bench", bodies))
    sent = [requests.next() for _ in range(6)]
    shapes = [text.partition(b"\r\n\r\n")[2].replace(one, ID_SLOT) for text, (one,) in sent]
    assert shapes == bodies * 2


def test_an_answer_in_pieces_is_one_answer(line: tuple[Connection, socket.socket]) -> None:
    """A sender that took the head alone for an answer would post on before the server is done."""
    connection, server = line
    server.sendall(b"HTTP/1.1 200 OK\r\ncontent-le")
    assert connection.read() is None
    server.sendall(b"ngth: 4\r\n\r\n")
    assert connection.read() is None
    server.sendall(b"done")
    assert connection.read() is True


def test_an_answer_other_than_200_is_told(line: tuple[Connection, socket.socket]) -> None:
    """A benchmark that counted refusals would find any server fast."""
    connection, server = line
    server.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert connection.read() is False


def test_a_server_that_hangs_up_ends_the_run(line: tuple[Connection, socket.socket]) -> None:
    """Nothing is waited for that cannot come."""
    connection, server = line
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="hung up"):
        connection.read()
