"""What transcripts of coding assistants hold in the wild: every kind of entry, and files that a crash left behind."""

import json

import orjson
import pytest

from endocrine.pipeline.data.ingest.recognise import guess

P1, P2, P3 = "Please add a test for the parser", "Now rename the function too", "And write the changelog entry"
NUDGE = "[Your previous response had no visible output. Please continue and produce a user-visible response.]"


class Log:
    """Writes entries, each the child of the one before unless told otherwise."""

    def __init__(self, session="s1", chained=True):
        self.session, self.chained, self.last, self.count = session, chained, None, 0

    def entry(self, kind, **more):
        self.count += 1
        uuid = more.pop("uuid", f"{self.session}-{self.count}")
        parent = more.pop("parent", self.last if self.chained else None)
        made = {
            "type": kind,
            "uuid": uuid,
            "parentUuid": parent,
            "sessionId": self.session,
            "timestamp": f"2026-01-01T00:{self.count // 60:02d}:{self.count % 60:02d}.000Z",
            **more,
        }
        self.last = uuid
        return made

    def user(self, content, **more):
        return self.entry("user", message={"role": "user", "content": content}, **more)

    def said(self, text, model="claude-x", message_id=None, **more):
        message = {"role": "assistant", "model": model, "content": [{"type": "text", "text": text}]}
        return self.entry("assistant", message=message | ({"id": message_id} if message_id else {}), **more)

    def result(self, **more):
        return self.user([{"type": "tool_result", "tool_use_id": "t", "content": "ok"}], **more)

    def queued(self, text, **more):
        attachment = {"type": "queued_command", "commandMode": "prompt", "prompt": text}
        return self.entry("attachment", attachment=attachment, **more)

    def queue(self, operation, text=None, **more):
        made = {"type": "queue-operation", "operation": operation, "sessionId": self.session, **more}
        return made | ({"content": text} if text else {}) | {"timestamp": f"2026-01-01T00:00:{self.count:02d}.500Z"}


@pytest.fixture(params=["chained", "parents unknown"])
def log(request):
    return Log(chained=request.param == "chained")


def lines(*entries):
    return b"".join((e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n" for e in entries)


@pytest.fixture
def turns(read):
    """turns(entries...) -> [(prompt, response or None)] by time of the prompt; .got has the rest."""

    def run(*entries):
        got = read(entries[0] if isinstance(entries[0], bytes) else lines(*entries), "claude-transcript")
        answers = {v["audit_id"]: v["response"] for v in got.values if v["kind"] == "closed"}
        run.got = got
        return [(v["prompt"], answers.get(v["audit_id"])) for v in got.values if v["kind"] == "opened"]

    return run


CONTEXT = [
    "<ide_opened_file>The user opened the file /a/b.py in the IDE.</ide_opened_file>",
    "<ide_selection>The user selected lines 1 to 3:\n<p>x</p>\n</ide_selection>",
    "<system-reminder>\nThe task list is empty.\n</system-reminder>",
    "<user-prompt-submit-hook>branch main</user-prompt-submit-hook>",
]


@pytest.mark.parametrize("context", CONTEXT)
@pytest.mark.parametrize("place", ["block before", "block after", "before", "after", "twice"])
def test_what_a_program_puts_around_the_prompt_is_left_out_and_counted(log, turns, context, place):
    block = [{"type": "text", "text": context}]
    typed = [{"type": "text", "text": P1}]
    content = {
        "block before": block + typed,
        "block after": typed + block,
        "before": f"{context}\n{P1}",
        "after": f"{P1}\n\n{context}",
        "twice": f"{context}\n{context}\n{P1}",
    }[place]
    assert turns(log.user(content), log.said("Added.")) == [(P1, "Added.")]
    assert turns.got.noted["context block"] == (2 if place == "twice" else 1)


def test_a_block_of_context_alone_is_no_turn_and_ends_none(log, turns):
    assert turns(log.user(P1), log.said("A."), log.user(CONTEXT[2]), log.said("B.")) == [(P1, "A.\n\nB.")]
    assert turns.got.skipped == {"meta": 1}


def test_pasted_markup_within_a_prompt_is_the_persons_own(log, turns):
    prompt = "Why is <system-reminder>x</system-reminder> shown here, and <div>this</div> not?"
    assert turns(log.user(prompt), log.said("So.")) == [(prompt, "So.")]


@pytest.mark.parametrize("with_uuid", [True, False])
@pytest.mark.parametrize("bypassed", [True, False])
@pytest.mark.parametrize("operations", [["enqueue", "remove"], ["enqueue"], []])
def test_a_queued_message_is_a_prompt_and_what_follows_answers_it(turns, with_uuid, bypassed, operations):
    log = Log()
    entries = [log.user(P1), log.said("Working."), log.result(), *(log.queue(name, P2) for name in operations)]
    before = log.last
    queued = log.queued(P2)
    if not with_uuid:
        del queued["uuid"], queued["parentUuid"]
    if bypassed or not with_uuid:
        log.last = before
    entries += [queued, log.said("Renamed."), log.said("Done.")]
    assert turns(*entries) == [(P1, "Working."), (P2, "Renamed.\n\nDone.")]


def test_a_queued_message_of_several_blocks_is_one_prompt(log, turns):
    blocks = [{"type": "text", "text": P2}, {"type": "image", "source": {}}]
    assert turns(log.user(P1), log.queued(blocks), log.said("Renamed.")) == [(P1, None), (P2, "Renamed.")]


def test_a_notice_on_the_queue_is_no_prompt(log, turns):
    notice = log.queued("<task-notification>done</task-notification>")
    other = log.entry("attachment", attachment={"type": "queued_command", "commandMode": "task", "prompt": P3})
    enqueue = log.queue("enqueue", "<task-notification>done</task-notification>")
    assert turns(log.user(P1), enqueue, notice, other, log.said("Added.")) == [(P1, "Added.")]


def test_a_queued_message_that_becomes_an_entry_of_its_own_is_one_turn(log, turns):
    entries = [
        log.user(P1),
        log.queue("enqueue", P2),
        log.said("A."),
        log.queue("dequeue"),
        log.user(P2),
        log.said("B."),
    ]
    assert turns(*entries) == [(P1, "A."), (P2, "B.")]


def test_a_message_that_only_left_the_queue_is_a_prompt_where_it_left(log, turns):
    entries = [log.user(P1), log.queue("enqueue", P2), log.said("A."), log.queue("remove"), log.said("B.")]
    assert turns(*entries) == [(P1, "A."), (P2, "B.")]


def test_an_attachment_met_before_its_removal_takes_no_other_message_off(log, turns):
    queue = [log.queue("enqueue", P2), log.queue("enqueue", P3)]
    entries = [
        log.user(P1),
        *queue,
        log.said("A."),
        log.queued(P2),
        log.queue("remove"),
        log.said("B."),
        log.queued(P3),
    ]
    assert turns(*entries) == [(P1, "A."), (P2, "B."), (P3, None)]


def test_messages_taken_back_for_editing_are_no_prompts(log, turns):
    entries = [log.user(P1), log.queue("enqueue", P2), log.queue("popAll", P2), log.said("A."), log.user(P3)]
    assert turns(*entries) == [(P1, "A."), (P3, None)]
    assert turns.got.skipped == {"withdrawn": 1}


def test_a_message_that_still_waits_at_the_end_is_a_prompt_without_an_answer(log, turns):
    assert turns(log.user(P1), log.queue("enqueue", P2), log.said("A.")) == [(P1, "A."), (P2, None)]


def test_several_queued_messages_may_be_delivered_as_one(log, turns):
    queue = [log.queue("enqueue", P2), log.queue("enqueue", P3), log.queue("dequeue"), log.queue("dequeue")]
    both = f"{P2}\n{P3}"
    assert turns(log.user(P1), *queue, log.user(both), log.said("B.")) == [(P1, None), (both, "B.")]


def test_the_answer_to_several_prompts_at_once_is_the_last_ones(log, turns):
    entries = [log.queue("dequeue"), log.user(P1), log.user(P2), log.user(P3), log.said("All done.")]
    assert turns(*entries) == [(P1, None), (P2, None), (P3, "All done.")]


def test_an_answer_belongs_to_the_prompt_its_parents_lead_back_to(turns):
    log = Log()
    first = log.user(P1)
    working = log.said("Working.")
    second = log.user(P2, parent=None)
    late = log.said("Added.", parent=working["uuid"])
    other = log.said("Renamed.", parent=second["uuid"])
    assert turns(first, working, second, late, other) == [(P1, "Working.\n\nAdded."), (P2, "Renamed.")]


def test_entries_of_all_other_kinds_keep_the_thread(turns):
    log = Log()
    entries = [
        log.entry("progress", data={"type": "hook_progress"}, parent=None),
        log.user(P1),
        log.entry("attachment", attachment={"type": "todo_reminder", "content": []}),
        log.said("One."),
        log.entry("system", subtype="api_error"),
        log.entry("progress", data={"type": "agent_progress"}),
        log.entry("unheard-of", anything=[1]),
        {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
        {"type": "summary", "summary": "words", "leafUuid": "x"},
        log.said("Two."),
        log.result(),
        log.said("Three."),
    ]
    assert turns(*entries) == [(P1, "One.\n\nTwo.\n\nThree.")]
    assert turns.got.refusals == []


@pytest.mark.parametrize(
    "content",
    [
        "<local-command-stdout>ok</local-command-stdout>",
        NUDGE,
        "(no content)",
        "Another Claude session sent a message:\nthe build is green",
        "Unknown slash command: reveiw",
        "Unknown skill: write-the-docs",
    ],
)
def test_what_a_program_writes_in_the_users_place_is_no_prompt_and_ends_no_turn(log, turns, content):
    entries = [log.user(P1), log.said("A."), log.user(content), log.said("B."), log.user(P2), log.said("C.")]
    assert turns(*entries) == [(P1, "A.\n\nB."), (P2, "C.")]
    assert turns.got.skipped == {"meta": 1}


@pytest.mark.parametrize(
    "mark",
    [
        {"isMeta": True},
        {"isSynthetic": True},
        {"isCompactSummary": True},
        *({"origin": {"kind": kind}} for kind in ("task-notification", "hook", "peer", "one of tomorrow")),
    ],
)
def test_marked_entries_are_no_prompts(log, turns, mark):
    assert turns(log.user(P1), log.user(P2, **mark), log.said("A.")) == [(P1, "A.")]


@pytest.mark.parametrize("origin", [None, {"kind": "human"}, {"kind": "channel"}, {"kind": 7}])
def test_an_origin_that_is_a_person_or_unnamed_makes_a_prompt(log, turns, origin):
    assert turns(log.user(P1), log.user(P2, origin=origin), log.said("A.")) == [(P1, None), (P2, "A.")]


@pytest.mark.parametrize("text", ["(no content)", "No response requested.\n"])
def test_what_the_program_writes_where_the_model_wrote_nothing_is_no_answer(log, turns, text):
    assert turns(log.user(P1), log.said(text), log.said("Done.")) == [(P1, "Done.")]
    assert turns.got.noted == {"synthetic message": 1}
    assert turns(log.user(P2), log.said(text)) == [(P2, None)]


@pytest.mark.parametrize("content", [{"type": "text", "text": P1}, [P1]])
def test_content_that_is_one_block_or_a_list_of_texts_is_read(log, turns, content):
    assert turns(log.user(content), log.said("Done.")) == [(P1, "Done.")]
    assert turns.got.refusals == []


@pytest.mark.parametrize("layout", ["array", "printed array", "printed objects"])
def test_entries_in_an_array_or_printed_over_lines_are_the_same_turns(log, read, turns, layout):
    entries = [log.user(P1), log.said("A."), log.user(P2), log.said("B.")]
    expected = turns(*entries)
    indent = None if layout == "array" else 2
    whole = json.dumps(entries, indent=indent)
    if layout == "printed objects":
        whole = "\n".join(json.dumps(entry, indent=indent) for entry in entries)
    assert turns(whole.encode()) == expected == [(P1, "A."), (P2, "B.")]
    assert read(whole, "claude-transcript").refusals == []
    assert guess(whole.encode()) == "claude-transcript"


def test_transcripts_that_were_joined_may_have_a_byte_order_mark_in_the_middle(turns):
    one, two = Log("s1"), Log("s2")
    mark = "\ufeff".encode()
    joined = mark + lines(one.user(P1), one.said("A.")) + mark + lines(two.user(P2), two.said("B."))
    assert turns(joined) == [(P1, "A."), (P2, "B.")]
    assert turns.got.refusals == []


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9"])
def test_a_packed_file_is_refused_with_what_to_do(read, start):
    (refusal,) = read(start + b"\0\n" * 9, "claude-transcript").refusals
    assert "unpack it" in refusal


def test_what_answers_a_command_goes_with_the_command(log, turns):
    command = (
        "<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args></command-args>"
    )
    blocks = [{"type": "text", "text": CONTEXT[0]}, {"type": "text", "text": "<command-name>/review</command-name>"}]
    for content in (command, blocks, "/review everything, please", "<bash-input>ls -la</bash-input>"):
        entries = [
            log.user(P1),
            log.said("A."),
            log.user(content),
            log.user("Review it all.", isMeta=True),
            log.said("R."),
        ]
        assert turns(*entries, log.user(P2), log.said("B.")) == [(P1, "A."), (P2, "B.")]


@pytest.mark.parametrize("text", ["[Request interrupted by user]", "[Request interrupted by user for tool use]"])
def test_an_interruption_is_no_prompt(log, turns, text):
    entries = [log.user(P1), log.said("A."), log.user([{"type": "text", "text": text}]), log.user(P2), log.said("B.")]
    assert turns(*entries) == [(P1, "A."), (P2, "B.")]
    assert turns.got.skipped == {"interruption": 1}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}


@pytest.mark.parametrize("content", [[IMAGE], [{"type": "text", "text": "[Image #1] [Image #2]"}, IMAGE, IMAGE]])
def test_the_answer_to_a_picture_is_not_taken_for_an_answer_to_the_prompt_before_it(log, turns, content):
    entries = [
        log.user(P1),
        log.said("Added."),
        log.user(content),
        log.said("A red bar."),
        log.user(P2),
        log.said("B."),
    ]
    assert turns(*entries) == [(P1, "Added."), (P2, "B.")]
    assert turns.got.skipped == {"no_text": 1}


def test_an_image_in_a_tools_result_ends_no_turn(log, turns):
    result = [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}, IMAGE]
    assert turns(log.user(P1), log.said("A."), log.user(result), log.said("B.")) == [(P1, "A.\n\nB.")]


def test_messages_that_the_program_wrote_in_the_models_place_are_left_out(log, turns):
    entries = [log.user(P1), log.said("No response requested.", model="<synthetic>"), log.said("A.")]
    entries.append(log.said("API Error: 500", isApiErrorMessage=True))
    assert turns(*entries) == [(P1, "A.")]
    assert turns.got.noted["synthetic message"] == 2


def test_sub_agents_are_left_out_wherever_they_stand(log, turns):
    side = [log.user(P3, isSidechain=True), log.said("Side.", isSidechain=True)]
    log.last = None
    first = log.user(P1)
    assert turns(first, *side, log.said("A.", parent=first["uuid"])) == [(P1, "A.")]
    assert turns.got.skipped == {"sidechain": 2}


def test_one_message_in_several_entries_is_there_once(log, turns):
    entries = [
        log.user(P1),
        log.said("Let me", message_id="m1"),
        log.said("Let me look.", message_id="m1"),
        log.said("Let me look.", message_id="m1"),
        log.said("It works.", message_id="m1"),
        log.said("It works.", message_id="m2"),
    ]
    assert turns(*entries) == [(P1, "Let me look.\n\nIt works.\n\nIt works.")]


def test_copies_after_compaction_change_nothing(log, turns):
    a, b, c, d = log.user(P1), log.said("Added."), log.user(P2), log.said("Renamed.")
    boundary = {"type": "system", "subtype": "compact_boundary", "sessionId": "s1"}
    summary = log.user("This session is being continued from a previous conversation.", isCompactSummary=True)
    copies = [entry | {"parentUuid": None} for entry in (a, b, c, d)]
    more = [log.user(P3), log.said("Written.")]
    expected = [(P1, "Added."), (P2, "Renamed."), (P3, "Written.")]
    assert turns(a, b, boundary, summary, c, d, *copies, *more) == expected


def test_copies_under_their_old_id_change_nothing_though_their_times_do(turns):
    log = Log()
    entries = [log.user(P1), log.said("Added."), log.queued(P2), log.said("Renamed.")]
    copies = [entry | {"timestamp": "2026-01-01T01:00:00Z", "parentUuid": None} for entry in entries]
    assert turns(*entries, *copies) == [(P1, "Added."), (P2, "Renamed.")]
    assert turns(*entries, copies[1], copies[3]) == [(P1, "Added."), (P2, "Renamed.")]


def test_a_whole_copy_stands_in_for_an_entry_that_could_not_be_read(turns):
    log = Log()
    whole = log.user(P1)
    broken = whole | {"message": {"role": "user", "content": 7}}
    assert turns(broken, whole, log.said("Added.")) == [(P1, "Added.")]
    assert len(turns.got.refusals) == 1


def test_work_that_goes_on_after_compaction_answers_the_prompt_before_it(turns):
    log = Log()
    entries = [log.user(P1), log.said("A.")]
    before = log.last
    entries.append(log.user(P2, parent=None))
    entries.append(log.entry("system", subtype="compact_boundary", logicalParentUuid=before, parent=None))
    entries.append(log.user("This session is being continued from a previous conversation that ran out of context."))
    assert turns(*entries, log.said("B.")) == [(P1, "A.\n\nB."), (P2, None)]


def test_a_session_resumed_in_another_file_is_read_once(read_files):
    log = Log()
    first = [log.user(P1), log.said("Added.")]
    again = [entry | {"sessionId": "s2"} for entry in first]
    log.session = "s2"
    second = [*again, log.user(P2), log.said("Renamed.")]
    got = read_files("claude-transcript", a=lines(*first), b=lines(*second))
    assert (got.prompts, got.responses) == ([P1, P2], ["Added.", "Renamed."])


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_branched_session_gives_the_turns_it_copied_their_old_ids(read_files, order):
    log = Log()
    first = [log.user(P1), log.said("Added.")]
    fork = Log("s2")
    copies = [
        entry
        | {"sessionId": "s2", "uuid": f"new-{entry['uuid']}", "parentUuid": parent}
        | {"forkedFrom": {"sessionId": "s1", "messageUuid": entry["uuid"]}}
        for entry, parent in zip(first, [None, "new-s1-1"], strict=True)
    ]
    fork.last = "new-s1-2"
    second = [*copies, fork.user(P2), fork.said("Renamed.")]
    parts = {"a": lines(*first), "b": lines(*second)}
    got = read_files("claude-transcript", **{name: parts[name] for name in order})
    assert sorted(got.prompts) == sorted([P1, P2])
    assert sorted(got.responses) == ["Added.", "Renamed."]
    alone = read_files("claude-transcript", a=lines(*first))
    assert {v["id"] for v in alone.values} <= {v["id"] for v in got.values}


def test_a_reply_to_an_entry_that_is_not_there_goes_to_the_prompt_before_it(turns):
    log = Log()
    assert turns(log.user(P1), log.said("A.", parent="gone"), log.said("B.")) == [(P1, "A.\n\nB.")]


NULS = b"\0" * 64


@pytest.mark.parametrize(
    ("broken", "refused"),
    [
        (lambda good: NULS + b"\n" + good, 1),
        (lambda good: NULS + good, 0),
        (lambda good: good + NULS, 0),
        (lambda good: good[:30] + NULS + good[30:], 0),
        (lambda good: good[:60] + NULS + good, 1),
        (lambda good: good[:60] + good, 1),
        (lambda good: good[:60] + b"\n" + good, 1),
    ],
)
def test_at_most_the_broken_entry_is_lost_to_a_crash(turns, broken, refused):
    log = Log()
    first, said = log.user(P1), log.said("Added.")
    second, renamed = log.user(P2), log.said("Renamed.")
    source = lines(first, said) + broken(json.dumps(second).encode()) + b"\n" + lines(renamed)
    assert turns(source) == [(P1, "Added."), (P2, "Renamed.")]
    assert len(turns.got.refusals) == refused


def test_entries_joined_on_one_line_are_both_read(turns):
    log = Log()
    first, said = (json.dumps(entry).encode() for entry in (log.user(P1), log.said("Added.")))
    assert turns(first + said + b"\n") == [(P1, "Added.")]
    assert turns(first + NULS + said + b"\n") == [(P1, "Added.")]


def test_a_part_of_a_broken_entry_is_not_taken_for_an_entry(turns):
    log = Log()
    whole = json.dumps(log.user([{"type": "text", "text": P1}])).encode()
    for cut in range(1, len(whole)):
        assert turns(whole[:cut] + b"\n") == []
        assert len(turns.got.refusals) == 1


def test_what_follows_a_broken_prompt_is_not_taken_for_an_answer_to_the_one_before(turns):
    log = Log()
    first, said, lost = log.user(P1), log.said("Added."), log.user(P2)
    source = lines(first, said) + json.dumps(lost).encode()[:80] + b"\n" + lines(log.said("Renamed."))
    assert turns(source) == [(P1, "Added.")]
    assert turns.got.noted == {"reply after a refused entry": 1}


@pytest.mark.parametrize("escaped", [True, False])
def test_half_a_character_costs_nothing_but_itself(turns, escaped):
    log = Log()
    entries = [log.user(P1 + " \ud83d"), log.said("Added \ud83d\ude00 \ude00.")]
    raw = "".join(json.dumps(entry, ensure_ascii=escaped) + "\n" for entry in entries)
    assert turns(raw.encode("utf-8", "surrogatepass")) == [(P1 + " \ufffd", "Added \U0001f600 \ufffd.")]
    assert turns.got.noted == {"lone surrogate": 2}


def test_the_stream_that_a_program_gets_is_read_as_well(turns):
    entries = [
        {"type": "system", "subtype": "init", "session_id": "s"},
        {"type": "user", "session_id": "s", "message": {"role": "user", "content": P1}},
        {"type": "assistant", "session_id": "s", "message": {"content": [{"type": "text", "text": "Added."}]}},
        {"type": "assistant", "session_id": "s", "parent_tool_use_id": "t", "message": {"content": "Side."}},
        {"type": "result", "session_id": "s", "result": "Added."},
    ]
    assert turns(*entries) == [(P1, "Added.")]


def test_a_file_whose_entries_no_transcript_has_is_refused(read):
    got = read(lines({"type": "response_item", "payload": {}}, {"type": "event_msg"}), "claude-transcript")
    assert "holds 2 entries of kinds that no transcript has" in got.refusals[0]


def test_texts_are_kept_for_no_more_open_turns_than_the_bound(read, monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.data.ingest.transcript_turns.MAX_OPEN", 2)
    log = Log()
    first = log.user(P1)
    entries = [first, log.user(P2), log.user(P3), log.said("Late.", parent=first["uuid"])]
    got = read(lines(*entries), "claude-transcript")
    assert got.prompts == [P1, P2, P3]
    assert got.responses == []
    assert got.noted == {"reply to a turn long past": 1}


def test_the_same_transcript_twice_is_the_same_bytes(read):
    log = Log()
    source = lines(log.user(P1), log.queue("enqueue", P2), log.said("A."), log.queue("remove"), log.queued(P3))
    assert orjson.dumps(read(source, "claude-transcript").lines) == orjson.dumps(
        read(source, "claude-transcript").lines
    )
