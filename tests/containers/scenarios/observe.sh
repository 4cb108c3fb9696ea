# shellcheck shell=bash
# The profile "observe": what Prometheus sees of the workers.

# prometheus_says PATH [QUERY]: what its API answers.
prometheus_says() {
    curl --silent --fail --max-time 5 --get --data-urlencode "query=${2:-}" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/$1"
}

# prometheus_counts PATH PATTERN NUMBER: so many matches are in the answer.
prometheus_counts() {
    [ "$(prometheus_says "$1" | grep -oE "$2" | wc -l)" -eq "$3" ]
}

# prometheus_finds QUERY VALUE
prometheus_finds() {
    prometheus_says query "$1" | grep -F "\"$2\"]"
}

scenario_prometheus_finds_every_worker_and_watches_it_by_the_rules() {
    local alerts
    images_build whippet-test-prometheus "$here/prometheus" || fail "there is no image of Prometheus"
    export PROMETHEUS_IMAGE=whippet-test-prometheus PROMETHEUS_PORT
    PROMETHEUS_PORT=$(broker_free_ports 1)
    stack_up
    compose --profile observe up --detach --no-build --scale worker=2 worker prometheus >/dev/null ||
        fail "docker-compose up failed: $(tail -n 3 "$work/compose.log")"
    publish 100
    # It looks for workers, and asks them, every 15 seconds.
    await 90 "Prometheus to scrape both workers" prometheus_counts targets '"health":"up"' 2
    await 60 "the hundred messages in Prometheus" prometheus_finds 'sum(whippet_settled_total{outcome="acked"})' 100
    alerts=$(grep -c -- '- alert:' "$top/deploy/prometheus/alerts.yml")
    prometheus_counts rules '"type":"alerting"' "$alerts" || fail "it has not loaded the $alerts alerts: $(prometheus_says rules)"
    await 60 "the alerts to have been looked at" prometheus_counts rules '"health":"ok"' "$alerts"
    # One may be pending for a moment: before the first worker was asked, there was none.
    for _ in {1..60}; do
        ! prometheus_counts rules '"state":"inactive"' "$alerts" || break
        pause 1
    done
    prometheus_counts rules '"state":"inactive"' "$alerts" || fail "an alert is raised: $(prometheus_says alerts)"
    printf '   two workers are up, and none of %d alerts is raised\n' "$alerts"
}
