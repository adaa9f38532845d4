"""The page of one message: its whole story, whatever became of it, with three bodies or why there is none."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from asking import Answer, Asker, House, opened

from data_dirs import destination, source
from factories import message
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.eventlog.block import id_hash
from headgate.eventlog.ids import IdRun, ids_path, write_ids
from headgate.workspace.access import Role

EVENT = "<script>alert(1)</script>\u202e "


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "data") as one:
        yield one


async def asked(house: House, path: str = "/messages/m1") -> Answer:
    """What a viewer sees."""
    return await (await house.somebody(Role.VIEWER)).get(path)


def panes(answer: Answer) -> dict[str, str]:
    """The bodies as they are copied, by their names; in the place of one that there is not, why."""
    found = {}
    for part in answer.text.split('<div class="body" role="group" aria-label="')[1:]:
        name = unescape(part.partition('"')[0])
        raw = re.search(r'<code id="[^"]*">(.*?)</code>', part, re.DOTALL)
        why = re.search(r'<p class="none">(.*?)</p>', part, re.DOTALL)
        match = raw or why
        assert match is not None
        found[name] = unescape(re.sub("<[^>]+>", "", match[1]))
    return found


def story(answer: Answer) -> str:
    """What happened, in words."""
    return answer.words.partition("What happened ")[2].partition(" Bodies ")[0]


async def test_a_delivered_message_has_three_bodies(house: House) -> None:
    """And says how long it took, after how many attempts."""
    data_dir = house.data_dir
    data_dir.attempt(1, status=503, answer=b"busy")
    row = b'{"identity":"ann","event":"Order Completed"}'
    answered = data_dir.attempt(1, answer=b'{"ok":9007199254740993}', request=row)
    data_dir.settle(DELIVERED, 1, attempt_id=answered, cursor=1)
    answer = await asked(house)
    assert 'data-outcome="delivered"' in answer.text
    assert "Delivered to heap in 0.1 s after 2 attempts" in answer.words
    assert panes(answer) == {
        "What arrived": message("m1").decode(),
        "What was sent to heap": row.decode(),
        "What heap answered": '{"ok":9007199254740993}',
        "As every later stage reads it": panes(answer)["As every later stage reads it"],
    }  # fmt: skip
    assert story(answer).startswith(
        "14 Nov 2023, 22:13:20 UTC 22:13:20.000 Arrived in a batch · 102 bytes · answered 200"
        " Kept on disk, number 1 of the log · workspace version 1 heap Routed to be sent"
    )
    assert "Attempt 1 503 in 25 ms busy Request and answer" in story(answer)


async def test_the_bodies_of_another_attempt_are_a_link_away(house: House) -> None:
    """The address says which."""
    first = house.data_dir.attempt(1, status=503, answer=b"busy", request=b"first")
    house.data_dir.attempt(1, answer=b"{}", request=b"second")
    answer = await asked(house)
    assert panes(answer)["What was sent to heap"] == "second"
    path = f"/messages/m1?position=1&attempt={first}"
    assert f'href="{path}#bodies"'.replace("&", "&amp;") in answer.text
    other = panes(await asked(house, path))
    assert (other["What was sent to heap"], other["What heap answered"]) == ("first", "busy")


async def test_of_a_batch_this_message_s_part_is_shown(house: House) -> None:
    """All of it on demand."""
    mapped = panes(await asked(house))["What will be sent to heap"]
    whole = f'{{"app_id":"1","events":[{{"other":1}},{mapped}]}}'
    house.data_dir.attempt(1, request=whole.encode())
    answer = await asked(house)
    assert panes(answer)["What was sent to heap"] == mapped
    assert '&amp;attempt=1&amp;whole=1#bodies"' in answer.text
    answer = await asked(house, "/messages/m1?position=1&whole=1")
    assert panes(answer)["What was sent to heap"] == whole


async def test_a_pending_message_says_when_it_is_tried_next(house: House) -> None:
    """With the request as it will be."""
    house.data_dir.attempt(1, status=0, error="connection refused", answer=b"")
    house.data_dir.wait(1, attempts=1, due_at_ms=house.clock.now_ms() + 61_000)
    answer = await asked(house)
    assert 'data-outcome="pending"' in answer.text
    assert "Attempt 1 No answer in 25 ms connection refused" in story(answer)
    assert "22:14:21.000 Next attempt" in story(answer)
    due, until = "14 Nov 2023, 22:14:21 UTC", "15 Nov 2023, 02:13:20 UTC"
    assert f"Next attempt {due} ; given up if Heap has not taken it by {until} ." in answer.words
    assert panes(answer)["What heap answered"] == "No answer: connection refused"


async def test_a_failed_message_shows_heaps_words_and_what_to_do(house: House) -> None:
    """It is kept, to be sent again."""
    refused = house.data_dir.attempt(1, status=400, answer=b'{"error":"Bad Request"}')
    house.data_dir.give_up(1, attempt_id=refused, cursor=1)
    answer = await asked(house)
    assert 'data-outcome="failed"' in answer.text
    assert "Failed for heap after 1 attempt" in answer.words
    assert "Heap answered 400: it refuses this message. answered 400" in answer.words
    assert "correct it and replay the dead letter" in answer.words
    assert "It is kept until it is sent again with success" in answer.words
    assert panes(answer)["What heap answered"] == '{"error":"Bad Request"}'


async def test_a_discarded_message_names_what_decided(house: House) -> None:
    """And that nothing was sent."""
    house.data_dir.settle(
        DISCARDED, 1, reason="integrations_object", detail="integrations.Heap is false", cursor=1
    )
    answer = await asked(house)
    assert 'data-outcome="discarded"' in answer.text
    sentence = "The message's integrations object switches this destination off."
    assert f"{sentence} integrations.Heap is false" in answer.words
    assert panes(answer)["What was sent to heap"] == f"Nothing: {sentence}"
    assert panes(answer)["What heap answered"] == "There is no answer, since nothing was sent."


async def test_what_did_not_go_can_be_sent_again(house: House) -> None:
    """This message alone, after a question with the numbers; nobody but editors may ask for it."""
    house.data_dir.accept("m2")
    house.data_dir.give_up(1, 2, cursor=2)
    editor = await house.somebody(Role.EDITOR)
    path = "/destinations/heap/replay?outcome=failed&id=m1"
    assert (
        f'href="{path.replace("&", "&amp;")}">Replay</a>' in (await editor.get("/messages/m1")).text
    )
    question = await editor.get(path)
    assert "Replay 1 message to heap?" in question.words
    assert '<input type="hidden" name="id" value="m1">' in question.text
    assert (
        'disabled title="This needs the role editor">Replay</button>' in (await asked(house)).text
    )


async def test_in_device_mode_no_answer_of_heaps_is_claimed(house: House) -> None:
    """The browser sent it."""
    house.data_dir.settle(DISCARDED, 1, reason="device_mode", cursor=1)
    answer = await asked(house)
    assert "heap: the page sends it itself, so the answer cannot be seen here" in answer.words
    assert panes(answer)["What was sent to heap"].startswith("The page sent it itself")
    assert panes(answer)["What heap answered"].startswith("The page got the answer")


async def test_what_engage_said_right_after_it_is_told(house: House) -> None:
    """Though nobody knows that it was for this message; and Engage's own message says whose it is."""
    personas = {"computation_class": "audience", "computation_key": "buyers"}
    fields = {"traits": {"buyers": True}, "context": {"personas": personas}}
    raw = message("m2", type="identify", event=None, properties=None, **fields)
    house.data_dir.accept_raw(raw, "m2", source="engage/heap", workspace_version=1)
    told = story(await asked(house))
    assert "what Engage said of this user within 10 s: 22:13:20.000 buyers is true , told to heap" in told  # fmt: skip
    answer = await asked(house, "/messages/m2?position=2")
    assert "Said by Engage, to heap alone" in story(answer)
    assert "Followed by" not in story(answer)


async def test_a_message_without_destination_was_kept(house: House) -> None:
    """There are three bodies still."""
    house.data_dir.accept("m2", source="spare")
    answer = await asked(house, "/messages/m2")
    assert "Kept: no destination was connected to its source" in answer.words
    assert list(panes(answer)) == [
        "What arrived",
        "What was sent",
        "What was answered",
        "As every later stage reads it",
    ]


async def test_a_refused_message_has_its_reason_and_its_body(house: House) -> None:
    """Though it never got into the log."""
    house.data_dir.refuse("m9", "no_ids", body=b'{"type":"track","event":"Bought"}')
    answer = await asked(house, "/messages/m9")
    assert answer.status == 200
    assert "Refused: The message has neither a userId nor an anonymousId." in answer.words
    assert panes(answer)["What arrived"] == '{"type":"track","event":"Bought"}'
    assert panes(answer)["What was sent"] == "Nothing: the message was refused at the door."


async def test_a_message_that_was_refused_before_says_so(house: House) -> None:
    """A link leads to what was refused."""
    house.data_dir.refuse("m1", "source_disabled", body=b'{"type":"page"}')
    answer = await asked(house)
    assert "Under this id 1 message was refused too" in answer.words
    refused = await asked(house, "/messages/m1?position=0")
    assert panes(refused)["What arrived"] == '{"type":"page"}'


async def test_an_id_in_two_sources_opens_a_chooser(house: House) -> None:
    """Whose links tell them apart."""
    house.data_dir.accept("m1", source="spare")
    answer = await asked(house)
    assert "Several messages have this id" in answer.words
    links = re.findall(r'href="(/messages/m1\?[^"]*)"', answer.text)
    assert links == [
        "/messages/m1?position=1&amp;source=website",
        "/messages/m1?position=2&amp;source=spare",
    ]
    told = await asked(house, unescape(links[1]))
    assert "source Spare" in told.words and "number 2 of the log" in told.words


async def test_an_unknown_id_says_where_it_was_looked_for(house: House) -> None:
    """And what may be wrong."""
    answer = await asked(house, "/messages/%3Cnowhere%3E")
    assert answer.status == 404
    assert "No message has this id <nowhere>" in answer.words
    assert "Looked through 1 messages received since 14 Nov 2023, 22:13:20 UTC" in answer.words


async def test_a_message_that_retention_removed_is_gone_not_unknown(house: House) -> None:
    """As far as its id is still kept."""
    log, now_ms = house.data_dir.path / "log", house.clock.now_ms()
    house.data_dir.accept("m2", segment_messages=1)
    run = IdRun.of(np.array([id_hash("website", "m1")], np.uint64), np.array([1]), now_ms)
    write_ids(ids_path(log, 1), run)
    house.data_dir.retire(2)
    answer = await asked(house)
    assert answer.status == 404
    assert "The message is gone m1 It was here, and retention, which keeps 30 days" in answer.words
    assert "No message has this id" in (await asked(house, "/messages/m0")).words


async def test_a_dead_letter_tells_of_what_the_log_has_let_go(house: House) -> None:
    """With its body."""
    house.data_dir.accept("m2", segment_messages=1)
    house.data_dir.give_up(1, cursor=1)
    house.data_dir.retire(2)
    answer = await asked(house)
    assert "by a dead letter; the log has let go of it" in story(answer)
    assert '"messageId":"m1"' in panes(answer)["What arrived"]


async def test_what_anybody_may_have_made_up_is_text(house: House) -> None:
    """Names, ids, values; and what cannot be seen is shown."""
    data_dir = house.data_dir
    id_ = "a/b?<i>#\u202e"
    data_dir.append(
        data_dir.say("track", id_, EVENT, event=EVENT, properties={EVENT: "y" * 30_000})
    )
    data_dir.attempt(2, status=400, answer=EVENT.encode(), error="")
    data_dir.give_up(2, cursor=2)
    answer = await asked(house, "/messages/a%2Fb%3F%3Ci%3E%23%E2%80%AE")
    assert answer.status == 200
    assert "<script>alert" not in answer.text and "<i>" not in answer.text
    assert 'U+202E</span><span class="odd" title="space">·</span>' in answer.text
    assert panes(answer)["What heap answered"] == EVENT
    assert EVENT in panes(answer)["What arrived"]
    assert "30,000 characters" in answer.words
    assert len(answer.text) < 250_000


async def test_bytes_that_are_no_text_are_shown_as_codes(house: House) -> None:
    """They came like this."""
    raw = b'{"type":"track","event":"\xff\xfe","messageId":"m2","userId":"ann"}'
    house.data_dir.accept_raw(raw, "m2", workspace_version=1)
    assert '"event":"\\xff\\xfe"' in panes(await asked(house, "/messages/m2"))["What arrived"]


async def test_the_call_can_be_sent_again_by_hand(house: House) -> None:
    """Quoted so that a shell takes it as it is."""
    house.data_dir.accept_raw(b'{"messageId":"m2","event":"it\'s $HOME","type":"track"}', "m2")
    answer = await asked(house, "/messages/m2")
    found = re.search(r'<code id="curl">(.*?)</code>', answer.text, re.DOTALL)
    assert found is not None
    assert unescape(found[1]) == (
        "curl https://events.example.com/v1/track -u 'wk_website:'"
        " -H 'Content-Type: application/json'"
        """ -d '{"messageId":"m2","event":"it'\\''s $HOME","type":"track"}'"""
    )


async def test_what_moves_is_a_part_that_is_renewed(house: House) -> None:
    """While somebody watches."""
    assert 'data-part="story"' in (await asked(house)).text


async def test_a_removed_destination_is_called_by_its_slug(house: House) -> None:
    """What happened there stays told."""
    house.data_dir.settle(DELIVERED, 1, cursor=1)
    house.data_dir.use(sources=[source()], destinations=[destination("other")])
    answer = await asked(house)
    assert "Delivered to heap in 0.1 s" in answer.words
    assert "tester?message" not in answer.text


async def test_the_user_leads_to_their_messages_and_to_who_they_are(house: House) -> None:
    """To a profile only where there are any."""
    house.data_dir.append(house.data_dir.say("track", "m2", "a/b&c"))
    text = (await asked(house, "/messages/m2")).text
    assert 'href="/messages?user=a%2Fb%26c"' in text and "/profiles/user_id" not in text
    store = house.data_dir.path / "engage" / "engage.db"
    store.parent.mkdir()
    store.touch()
    text = (await asked(house, "/messages/m2")).text
    assert 'href="/profiles/user_id:a%2Fb%26c"' in text


async def test_the_tester_is_offered_for_the_message(house: House) -> None:
    """With its id in the address."""
    asker: Asker = await house.somebody(Role.VIEWER)
    assert 'href="/destinations/heap/tester?message=m1"' in (await asker.get("/messages/m1")).text
