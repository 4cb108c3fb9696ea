# shellcheck shell=bash
# Three nodes, of which one loses the network.

cluster_has_three_nodes() {
    [[ $(broker_answers 'length(rabbit_nodes:list_running())') == *3* ]]
}

# The first node is the one that the worker has connected to.
scenario_a_node_of_the_cluster_is_cut_off_and_heals() {
    local cut
    export AMQP_URL=amqp://whippet@rabbitmq:5672/,amqp://whippet@rabbitmq-2:5672/,amqp://whippet@rabbitmq-3:5672/
    compose --profile cluster up --detach --no-build rabbitmq rabbitmq-2 rabbitmq-3 >/dev/null || fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    await 180 "three nodes" cluster_has_three_nodes
    delay=500ms stack_configure ''
    stack_up
    publish 5000
    await 60 "messages to be processed" has_processed 200
    cut=$(containers rabbitmq)
    docker network disconnect "${project}_default" "$cut"
    await 90 "the worker to go on at another node" log_has worker 'connected to .*rabbitmq-[23]'
    printf '   %d of 5000 were processed then\n' "$(processed)"
    docker network connect --alias rabbitmq "${project}_default" "$cut"
    node=rabbitmq-2
    account 5000 $((3 * held))
    await 120 "three nodes again" cluster_has_three_nodes
    printf '   the node that was cut off is back in the cluster\n'
}
