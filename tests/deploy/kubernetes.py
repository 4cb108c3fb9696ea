#!/usr/bin/env python3
"""Looks at Kubernetes manifests as a cluster and KEDA would, and prints what is wrong with them.

    kubernetes.py WHIPPET_JSON FILE…

The files hold one or more objects each; WHIPPET_JSON is the configuration that their pods run with.
"""
import json
import sys
import urllib.parse

import yaml

from checks import STOP_SECONDS, expect, report, seconds


def look_up(part, path):
    """What stands at "spec.template", None where that is nowhere; numbers are places in a list."""
    for step in path.split("."):
        if isinstance(part, list):
            part = part[int(step)] if int(step) < len(part) else None
        else:
            part = (part or {}).get(step)
    return part


def the_only(objects, kind):
    found = [each for each in objects if each["kind"] == kind]
    expect(len(found) == 1, f"there are {len(found)} objects of the kind {kind}")
    return found[0] if found else {}


def selects(selector, labels):
    """Whether it selects exactly by matchLabels. An empty selector selects every pod there is."""
    wanted = (selector or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def check_selectors(objects):
    labels = look_up(the_only(objects, "Deployment"), "spec.template.metadata.labels") or {}
    for kind in ("Deployment", "PodDisruptionBudget"):
        expect(selects(look_up(the_only(objects, kind), "spec.selector"), labels), f"the {kind} does not select the pods")


def check_probes(container):
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
        get = look_up(container, f"{probe}.httpGet") or {}
        expect(get.get("path") == path, f"the {probe} does not ask {path}")
        expect(get.get("port") in ports, f"the {probe} asks a port that the container has not")


def check_restricted(pod, container):
    """The Pod Security Standard "restricted", as far as a worker can break it."""
    for context, path, value in (
        (pod, "securityContext.runAsNonRoot", True),
        (pod, "securityContext.seccompProfile.type", "RuntimeDefault"),
        (container, "securityContext.allowPrivilegeEscalation", False),
        (container, "securityContext.readOnlyRootFilesystem", True),
        (container, "securityContext.capabilities.drop", ["ALL"]),
        (container, "securityContext.capabilities.add", None),
        (container, "securityContext.privileged", None),
        (pod, "hostNetwork", None),
        (pod, "hostPID", None),
        (pod, "hostIPC", None),
    ):
        found = look_up(context, path)
        expect(found == value, f"{path} is {found}, where the restricted standard and we want {value}")
    for volume in pod["volumes"]:
        kinds = set(volume) - {"name"}
        expect(kinds <= {"configMap", "secret", "emptyDir", "projected"}, f"the volume {volume['name']} is {kinds}")


def check_upkeep(objects, container):
    """What goes on where something is wrong: seen on a real cluster."""
    unavailable = look_up(the_only(objects, "Deployment"), "spec.strategy.rollingUpdate.maxUnavailable")
    expect(unavailable == 0, "a configuration that can't work ends workers that do")
    evicted = look_up(the_only(objects, "PodDisruptionBudget"), "spec.unhealthyPodEvictionPolicy")
    expect(evicted == "AlwaysAllow", "no node can be drained while RabbitMQ is away")
    policy = container.get("terminationMessagePolicy")
    expect(policy == "FallbackToLogsOnError", "`kubectl describe pod` does not show what was wrong")


def check_grace(pod, container, configuration):
    pause = int(look_up(container, "lifecycle.preStop.exec.command.1") or 0)
    shutdown = seconds(configuration["shutdown_timeout"])
    needed = pause + shutdown + STOP_SECONDS
    grace = pod["terminationGracePeriodSeconds"]
    expect(grace >= needed, f"it is killed after {grace} s; its end takes {needed}: {pause} of preStop, {shutdown} and some")
    for queue in configuration["queues"]:
        timeout = seconds(queue.get("timeout", "5m"))
        expect(timeout <= shutdown, f"an attempt of {queue['name']} may take {timeout} s, and is cancelled after {shutdown}")


def check_configuration(pod, objects, configuration):
    """What kustomize has made of it: the pods read the file that the folder has."""
    for each in objects:
        if each["kind"] == "ConfigMap":
            expect(json.loads(each["data"]["whippet.json"]) == configuration, "the ConfigMap holds another configuration")
            names = [look_up(volume, "configMap.name") for volume in pod["volumes"]]
            expect(each["metadata"]["name"] in names, f"the pods read {names}, not the ConfigMap that there is")


def check_policy(objects, configuration):
    """It is about the workers, and lets them go where the configuration says."""
    policy = the_only(objects, "NetworkPolicy")
    labels = look_up(the_only(objects, "Deployment"), "spec.template.metadata.labels") or {}
    expect(selects(look_up(policy, "spec.podSelector"), labels), "the NetworkPolicy does not select the pods")
    ports = [port["port"] for rule in look_up(policy, "spec.egress") for port in rule["ports"]]
    wanted = urllib.parse.urlparse(configuration["amqp"]["url"]).port
    expect({wanted, 53} <= set(ports), f"RabbitMQ is at port {wanted}, and the NetworkPolicy opens {ports}")


def check_secrets(objects):
    """A Secret among them would set the user's own back, at each apply."""
    expect(all(each["kind"] != "Secret" for each in objects), "there is a Secret")


def patches_of(objects):
    """What kustomize does to the objects before they are applied."""
    for kustomization in objects:
        if kustomization["kind"] == "Kustomization":
            for patch in kustomization.get("patches", []):
                yield from yaml.safe_load(patch["patch"])


def check_growing(objects, configuration):
    scaled = the_only(objects, "ScaledObject")
    deployment = the_only(objects, "Deployment")
    expect(look_up(scaled, "spec.scaleTargetRef.name") == look_up(deployment, "metadata.name"), "it scales something else")
    removed = any(each == {"op": "remove", "path": "/spec/replicas"} for each in patches_of(objects))
    expect(removed or "replicas" not in deployment["spec"], "each apply sets the number of pods back")
    expect(look_up(scaled, "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies"), "it shrinks at once")
    authentication = the_only(objects, "TriggerAuthentication")
    for trigger in look_up(scaled, "spec.triggers") or []:
        metadata = trigger["metadata"]
        expect(metadata["protocol"] == "http", "it does not count the messages at work")
        expect(metadata.get("excludeUnacknowledged", "false") == "false", "it leaves out the messages at work")
        queues = [queue for queue in configuration["queues"] if queue["name"] == metadata["queueName"]]
        expect(queues, f"the workers do not consume {metadata['queueName']}")
        for queue in queues:
            expect(int(metadata["value"]) == queue["prefetch"], "a pod for each prefetch is what the comment promises")
        name = look_up(trigger, "authenticationRef.name")
        expect(name == look_up(authentication, "metadata.name"), f"there is no TriggerAuthentication {name}")


def check_monitoring(objects):
    monitor = the_only(objects, "PodMonitor")
    deployment = the_only(objects, "Deployment")
    labels = look_up(deployment, "spec.template.metadata.labels") or {}
    expect(selects(look_up(monitor, "spec.selector"), labels), "the PodMonitor does not select the pods")
    endpoint = look_up(monitor, "spec.podMetricsEndpoints.0") or {}
    ports = [port["name"] for port in look_up(deployment, "spec.template.spec.containers.0.ports")]
    expect(endpoint.get("port") in ports, "the PodMonitor names a port that the pods have not")
    jobs = [each["replacement"] for each in endpoint.get("relabelings", []) if each["targetLabel"] == "job"]
    expect(jobs == ["whippet"], f"the job is {jobs}, which the alerts do not know")


def main(configuration_file, files):
    with open(configuration_file) as file:
        configuration = json.load(file)
    objects = []
    for name in files:
        with open(name) as file:
            objects += [each for each in yaml.safe_load_all(file) if each]
    kinds = {each["kind"] for each in objects}
    pod = look_up(the_only(objects, "Deployment"), "spec.template.spec")
    container = pod["containers"][0]
    check_selectors(objects)
    check_probes(container)
    check_restricted(pod, container)
    check_upkeep(objects, container)
    check_grace(pod, container, configuration)
    check_configuration(pod, objects, configuration)
    check_secrets(objects)
    if "NetworkPolicy" in kinds:
        check_policy(objects, configuration)
    if "ScaledObject" in kinds:
        check_growing(objects, configuration)
    if "PodMonitor" in kinds:
        check_monitoring(objects)
    return report()


sys.exit(main(sys.argv[1], sys.argv[2:]))
