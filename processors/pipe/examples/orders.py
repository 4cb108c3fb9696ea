#!/usr/bin/env python3
"""Counts the total of each customer's orders: what is costly to start, a model say, is made once, before the loop."""

import base64
import json
import sys

totals = {}


def handle(body):
    """Returns None when the order is counted, and why it can never be otherwise."""
    try:
        order = json.loads(body)
        customer, total = order["customer"], order["total"]
        totals[customer] = totals.get(customer, 0) + total
        print(f"{customer} has ordered for {totals[customer]}", file=sys.stderr)  # goes to the worker's log
    except Exception as error:  # whatever it is: a bad order must not end the script
        return f"no order: {type(error).__name__}: {error}"
    return None


def body_of(message):
    if "body_base64" in message:
        return base64.b64decode(message["body_base64"])
    return message["body"]


for line in sys.stdin:
    message = json.loads(line)
    problem = handle(body_of(message))
    answer = {"id": message["id"], "verdict": "ack"}
    if problem is not None:
        answer = {"id": message["id"], "verdict": "reject", "reason": problem}
    print(json.dumps(answer), flush=True)  # without flush it stays in a buffer, and the message times out
