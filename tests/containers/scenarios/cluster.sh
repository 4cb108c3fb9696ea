# shellcheck shell=bash
# Three nodes, of which one loses the network.

cluster_has_three_nodes() {
    [[ $(broker_answers 'length(rabbit_nodes:list_running())') == *3* ]]
}

# Each node has a copy of the queue that takes part in votes.
queue_is_on_three_nodes() {
    [ "$(broker_answers "length([member || Member <- rabbit_quorum_queue:status(<<\"/\">>, <<\"$queue\">>),
        lists:member({<<\"Membership\">>, voter}, Member)])")" = '{ok, 3}' ]
}

# Prints the node that leads the queue, by the name of its service.
queue_leader() {
    broker_answers "[Node || Member <- rabbit_quorum_queue:status(<<\"/\">>, <<\"$queue\">>),
        lists:member({<<\"Raft State\">>, leader}, Member), {_, Node} <- Member, is_atom(Node), Node =/= leader]" |
        sed -n 's/.*rabbit@\([a-z0-9-]*\).*/\1/p'
}

# lead_is_lost MESSAGES: while they are at work the node that leads the queue loses the network, until the others have gone on.
lead_is_lost() {
    local leader before
    leader=$(queue_leader)
    publish "$1"
    before=$(processed)
    await 60 "messages to be processed" has_processed $((before + 200))
    docker network disconnect "${project}_default" "$(containers "$leader")"
    before=$(processed)
    await 120 "the worker to go on without $leader" has_processed $((before + 4 * held))
    printf '   %s led the queue and was cut off; %d were processed before, %d when the others had gone on\n' \
        "$leader" "$before" "$(processed)"
    docker network connect --alias "$leader" "${project}_default" "$(containers "$leader")"
}

# As docs/containers.md starts it. The queue is declared as soon as the first node is there, and must come to the others. They
# take one queue after the other, which would be minutes with those of all scenarios before.
scenario_a_cluster_goes_on_without_the_node_that_leads() {
    stack_remove
    stack_clear "$queue"
    AMQP_URL=$(sed -n 's/^AMQP_URL=//p' "$top/docs/containers.md" | grep -m 1 rabbitmq-3) || fail "docs/containers.md names no cluster"
    delay=500ms stack_configure ''
    compose --profile cluster up --detach --no-build >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    await 180 "the worker to consume" consumes
    await 180 "three nodes" cluster_has_three_nodes
    await 120 "a copy of the queue on each node" queue_is_on_three_nodes
    docker exec "$(containers rabbitmq)" rabbitmqctl --quiet list_queues name members | grep "^$queue	" | sed 's/^/   /'
    node=rabbitmq-2
    [ "$(queue_leader)" = rabbitmq ] || fail "the first node, which had the queue first, does not lead it, but $(queue_leader)"
    lead_is_lost 3000
    await 120 "three nodes again" cluster_has_three_nodes
    await 120 "a copy of the queue on each node again" queue_is_on_three_nodes
    account 3000 $((3 * held))
}
