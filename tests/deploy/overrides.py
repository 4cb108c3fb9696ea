#!/usr/bin/env python3
"""Has docker-compose read what docs/containers.md tells to write: the overrides with docker-compose.yml, and the Compose file
of one's own. Prints what is wrong. Run from the top of the tree.

    overrides.py DOCKER_COMPOSE FOLDER      the folder is an empty one, to work in
"""
import os
import re
import shutil
import subprocess
import sys

import yaml

from checks import expect, report


def snippets():
    """The name and the text of each Compose file in the page."""
    with open("docs/containers.md") as file:
        return re.findall(r"^```yaml\n# (docker-compose\S*\.yml)\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def environment():
    """What the page appends to .env for the cluster."""
    with open("docs/containers.md") as file:
        found = re.search(r"^cat >>\.env <<'END'\n(.*?)^END$", file.read(), re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def write(folder, name, texts):
    """The names of a file for each."""
    names = [f"{name}-{number}.yml" for number in range(len(texts))]
    for file_name, text in zip(names, texts):
        with open(os.path.join(folder, file_name), "w") as file:
            file.write(text)
    return names


def read(program, folder, *names):
    """What docker-compose makes of these files, merged; nothing where it takes offence."""
    command = [program, *(part for name in names for part in ("--file", name)), "config"]
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    done = subprocess.run(command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        expect(False, f"docker-compose: {done.stderr.strip()}")
        return {}
    return yaml.safe_load(done.stdout)


def variables(part):
    """{name: value}, however it is written."""
    return dict(each.split("=", 1) for each in part) if isinstance(part, list) else dict(part or {})


def secrets(service):
    return {each if isinstance(each, str) else each["source"] for each in service.get("secrets", [])}


def targets(service):
    return {each.split(":")[1] if isinstance(each, str) else each["target"] for each in service.get("volumes", [])}


def check_merged(merged, text):
    """Nothing that the worker had is lost, and what the override says is there."""
    worker, wanted = merged["services"]["worker"], yaml.safe_load(text)["services"]["worker"]
    expect({"AMQP_URL", *variables(wanted.get("environment"))} <= set(variables(worker["environment"])), "a variable is lost")
    expect({"amqp_password", *wanted.get("secrets", [])} <= secrets(worker), "a secret is lost")
    expect(secrets(worker) <= set(merged["secrets"]), f"one of the secrets is not defined: {secrets(worker)}")
    expect(targets(worker) == {"/etc/whippet", "/srv/whippet/processors", "/var/lib/whippet"}, f"mounts: {targets(worker)}")
    for key in ("ports", "networks", "extra_hosts"):
        expect(len(worker.get(key) or []) >= len(wanted.get(key, [])), f"there are no such {key}")
    expect(isinstance(worker["pids_limit"], int), "pids_limit is a text")


def check_own(merged):
    """The Compose file of one's own confines the worker as ours does."""
    if not merged:
        return
    with open("docker-compose.yml") as file:
        ours = yaml.safe_load(file)["services"]["worker"]
    worker = merged["services"]["worker"]
    expect(secrets(worker) == set(ours["secrets"]), f"its secrets are {secrets(worker)}")
    for key in ("read_only", "cap_drop", "security_opt", "tmpfs", "command", "restart", "pids_limit"):
        found, wanted = worker.get(key), ours[key]
        expect(found in (wanted, str(wanted).split()), f"{key} is {found}; ours has {wanted}")


def check_cluster(merged, added):
    """The worker knows every node that .env starts. docker-compose 1.29 shows all services, of whatever profile."""
    profile = added.get("COMPOSE_PROFILES")
    nodes = [name for name, service in merged.get("services", {}).items()
             if name.startswith("rabbitmq") and profile in service.get("profiles", [profile])]
    expect(len(nodes) == 3, f"{added} starts {nodes}")
    url = variables(merged["services"]["worker"]["environment"])["AMQP_URL"] if merged else ""
    expect(all(f"@{node}:" in url for node in nodes), f"the worker knows {url} of {nodes}")


def main(program, folder):
    shutil.copy("docker-compose.yml", folder)
    with open(os.path.join(folder, "worker.env"), "w") as file:
        file.write("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\n")
    files = snippets()
    expect(len(files) >= 4, f"docs/containers.md has {len(files)} Compose files")
    own = [text for name, text in files if name == "docker-compose.yml"]
    overrides = [text for name, text in files if name != "docker-compose.yml"]
    merged = read(program, folder, "docker-compose.yml", *write(folder, "override", overrides))
    for text in overrides if merged else []:
        check_merged(merged, text)
    for name in write(folder, "own", own):
        check_own(read(program, folder, name))
    with open(os.path.join(folder, ".env"), "w") as file:
        file.write(environment())
    check_cluster(read(program, folder, "docker-compose.yml"), variables(environment().splitlines()))
    return report()


sys.exit(main(sys.argv[1], sys.argv[2]))
