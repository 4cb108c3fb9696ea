#!/usr/bin/env python3
"""Looks at docker-compose.yml, .env.example and what they name, and prints what is wrong. Run from the top of the tree.

    compose.py MEBIBYTES SECONDS      the worker's memory bound and shutdown_timeout
"""
import glob
import os
import re
import sys

import yaml

from checks import STOP_SECONDS, expect, report, seconds


def variables(text):
    """Each ${NAME:-default} of the compose file."""
    return dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))


def example():
    """What .env.example sets."""
    with open(".env.example") as file:
        return dict(re.findall(r"^([A-Z_]+)=(.*)$", file.read(), re.MULTILINE))


def with_defaults(text):
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


def mounts(service):
    """What is mounted where: {"/etc/whippet": "./deploy/docker"}."""
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return {part[1]: part[0] for part in parts}


def lies_in(file, folder):
    file, folder = os.path.realpath(file), os.path.realpath(folder)
    return os.path.commonpath([file, folder]) == folder


def check_secrets(compose):
    """No service sees a secret but by its name, through a folder that it was given."""
    for name, service in compose["services"].items():
        for source in mounts(service).values():
            for secret, place in compose["secrets"].items():
                expect(not (source.startswith(".") and lies_in(place["file"], source)),
                       f"{name} can read the secret {secret} in {source}, which is mounted")
    for secret in compose["secrets"].values():
        expect(os.path.isfile(secret["file"]), f"{secret['file']} is missing")


def check_example(compose):
    """The configuration in a user's image lies where the mounted one goes: else it would win over that. The processors lie
    where nothing goes: else they would be hidden."""
    mounted = mounts(compose["services"]["worker"])
    for name in ["docs/containers.md", "cmd/templates/Dockerfile.in"]:
        with open(name) as file:
            text = file.read()
        places = re.findall(r"^COPY whippet.json (.*?)/?$", text, re.MULTILINE)
        expect(places == ["/etc/whippet"] and places[0] in mounted, f"{name}: the configuration is in {places}")
        places = re.findall(r"^COPY --from=build .* (\S+?)/?$", text, re.MULTILINE)
        expect(len(places) == 1 and os.path.join("/srv/whippet", places[0]) not in mounted, f"{name}: processors are in {places}")


def keys(file):
    """{key: value} of a file as rabbitmq.conf is."""
    with open(file) as lines:
        return dict(re.findall(r"^([a-z][\w.]*) = (.*)$", lines.read(), re.MULTILINE))


def check_cluster(compose):
    """Queues get their replicas on nodes that come later, and each node knows which side of a split goes on."""
    reconciliation = "quorum_queue.continuous_membership_reconciliation."
    nodes = [name for name in compose["services"] if name.startswith("rabbitmq")]
    expect(len(nodes) == 3, f"there are {len(nodes)} nodes")
    for node in nodes:
        place = mounts(compose["services"][node])
        found = {}
        for target, source in place.items():
            if target.startswith("/etc/rabbitmq/conf.d/"):
                found.update(keys(source))
        expect(found.get(reconciliation + "enabled") == "true", f"queues that {node} leads get no further replicas")
        expect(found.get(reconciliation + "target_group_size") == str(len(nodes)), f"{node} is content with fewer replicas")
        expect(int(found.get(reconciliation + "interval", 3600000)) <= 60000, f"{node} looks for missing replicas too rarely")
        expect(found.get("cluster_partition_handling") == "pause_minority", f"{node} goes on in a minority")
        # The first must not look for others, which are not there without the profile.
        expect(("cluster_formation.peer_discovery_backend" in found) == (node != "rabbitmq"), f"{node} looks for its peers")


def check_keys():
    """RabbitMQ does not start with a key that it does not know. The one that is installed here may be older than 3.13."""
    for schema in glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbit-*/priv/schema/rabbit.schema"):
        with open(schema) as file:
            known = re.findall(r'\{mapping,\s*"([^"]+)"', file.read())
        is_old = not any("membership_reconciliation" in key for key in known)
        patterns = [re.sub(r"\\\$\w+", r"[^.]+", re.escape(key)) for key in known]
        for name in glob.glob("deploy/rabbitmq/*.conf"):
            for key in keys(name):
                is_known = any(re.fullmatch(pattern, key) for pattern in patterns)
                expect(is_known or (is_old and "membership_reconciliation" in key), f"{name}: {schema} does not know {key}")


def check_observing(compose):
    grafana = compose["services"]["grafana"]["environment"]
    expect(grafana.get("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION") == "true", "Grafana makes its admin, password admin")
    expect(grafana.get("GF_AUTH_ANONYMOUS_ORG_ROLE") == "Viewer", "anybody may change Grafana's dashboards")
    for name, service in compose["services"].items():
        if not service["image"].startswith("whippet"):
            expect(re.search(r":v?\d", service["image"]), f"{name} runs whatever is the newest image: {service['image']}")
        for port in service.get("ports", []):
            expect(port.startswith("127.0.0.1:"), f"{name} listens beyond loopback: {port}")


def check_limits(worker, bound, shutdown):
    memory = re.fullmatch(r"(\d+)m", worker["mem_limit"])
    expect(memory and int(memory.group(1)) > bound, f"the worker may have {worker['mem_limit']}, and needs up to {bound} MiB")
    grace = worker["stop_grace_period"]
    expect(seconds(grace) >= shutdown + STOP_SECONDS, f"the worker is killed after {grace}; it stops within {shutdown} s and some")


def check_numbers(text):
    """Of variables docker-compose 1.29 makes texts, which are no number to the engine: "Invalid type for pids_limit"."""
    worker = yaml.safe_load(text)["services"]["worker"]
    expect(isinstance(worker["pids_limit"], int), f"pids_limit is the text {worker['pids_limit']}")


def check_logs(compose):
    for name in ("worker", "rabbitmq", "rabbitmq-2", "rabbitmq-3"):
        options = compose["services"][name].get("logging", {}).get("options", {})
        expect({"max-size", "max-file"} <= set(options), f"the log of {name} grows for ever")


def main(bound, shutdown):
    with open("docker-compose.yml") as file:
        text = file.read()
    compose = yaml.safe_load(with_defaults(text))
    expect(variables(text) == example(), f".env.example differs: {set(variables(text).items()) ^ set(example().items())}")
    check_secrets(compose)
    check_example(compose)
    check_cluster(compose)
    check_keys()
    check_observing(compose)
    check_limits(compose["services"]["worker"], bound, shutdown)
    check_logs(compose)
    check_numbers(text)
    return report()


sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
