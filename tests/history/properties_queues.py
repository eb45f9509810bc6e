"""Properties of queues: what publishers were told, what consumers got and settled."""
from collections import defaultdict

from view import number_of


def lost_message(view):
    """A confirmed message is delivered."""
    drained = {op["what"] for op in view.by_f["drain"] if op.is_ok}
    delivered = {(op["queue"], op["value"]) for op in view.by_f["delivered"]}
    for op in view.by_f["publish"]:
        if op.is_ok and op["queue"] in drained and (op["queue"], op["value"]) not in delivered:
            yield "a confirmed message was never delivered", [op]


def phantom_message(view):
    """What is delivered was published."""
    published = {(op["queue"], op["value"]) for op in view.by_f["publish"]}
    for op in view.by_f["delivered"]:
        if (op["queue"], op["value"]) not in published:
            yield "nobody published this", [op]


def settled_message(view):
    """What was acked for good never comes again."""
    settled = {}
    for op in view.by_f["settle"]:
        if op.is_ok:
            for value in op["values"]:
                settled.setdefault((op["queue"], value), op)
    for op in view.by_f["delivered"]:
        settle = settled.get((op["queue"], op["value"]))
        if settle is not None and settle.end < op.begin:
            yield f"{op['value']} came again after its ack", [settle, op]


def duplicate_message(view):
    """A message that comes again is flagged: a second one without the flag is a second copy."""
    fresh = {}
    for op in view.by_f["delivered"]:
        key = op["queue"], op["value"]
        if not op["redelivered"] and key in fresh:
            yield f"{op['value']} came twice as if new", [fresh[key], op]
        fresh[key] = op


def reordered_message(view):
    """What a consumer gets for the first time comes in each publisher's order."""
    last = {}
    for op in view.by_f["delivered"]:
        if op["redelivered"]:
            continue
        writer, number = number_of(op["value"])
        key = op["queue"], op.client, writer
        if key in last and number < number_of(last[key]["value"])[1]:
            yield f"{op['value']} came after {last[key]['value']}", [last[key], op]
        last[key] = op


def leased_message(view):
    """What one consumer holds is given to nobody else: not before it is settled or the consumer's connection is
    gone."""
    freed = defaultdict(list)  # client -> [(begin, end)] when all that it held became free; "broker": everybody's
    for op in view.by_f["closed"] + view.by_f["fault"]:
        freed[op.get("target", op.client)].append((op.begin, op.end or op.begin))
    let_go = defaultdict(list)  # (queue, value) -> the same for one message, whoever held it
    for op in view.by_f["returned"]:
        let_go[op["queue"], op["value"]].append((op.begin, op.end))
    for op in view.by_f["settle"]:  # one that fails on its way leaves the message to the next consumer
        for value in op["values"]:
            let_go[op["queue"], value].append((op.begin, op.end or op.begin))
    holder = {}
    for op in view.by_f["delivered"]:
        key = op["queue"], op["value"]
        before = holder.get(key)
        if before is not None and before.client != op.client:
            times = freed[before.client] + freed["broker"] + let_go[key]
            if not any(begin <= op.begin and end >= before.begin for begin, end in times):
                yield f"{op['value']} is held by {before.client} and was given to {op.client}", [before, op]
        holder[key] = op
