#!/usr/bin/env bash
# What stands in deploy/prometheus and deploy/grafana, against a real worker and a real Prometheus. No broker is needed:
# a worker without one is what most of the alerts are about.
#
#   tests/monitoring.sh PROGRAM
set -u
program=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
for tool in promtool prometheus curl python3; do
    command -v $tool >/dev/null || { echo "$tool is missing: scripts/setup test" && exit 1; }
done

work=$(mktemp -d) || exit 1
children=()
end() {
    [ ${#children[@]} -eq 0 ] || { kill "${children[@]}" && wait "${children[@]}"; } 2>/dev/null
    rm -rf "$work"
}
trap end EXIT

fail() {
    echo "$1"
    tail -n 20 "$work"/*.log
    exit 1
}

# await SECONDS COMMAND…: until it succeeds. On a busy machine WHIPPET_TEST_PATIENCE multiplies the seconds.
await() {
    local deadline=$((SECONDS + $1 * ${WHIPPET_TEST_PATIENCE:-1}))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# address_in FILE TEXT: the address behind TEXT, once it is there.
address_in() {
    grep -o "$2"'127\.0\.0\.1:[0-9]*' "$1" 2>/dev/null | grep -o '127.*' | grep -v ':0$' | tail -n 1 | grep .
}

# kubernetes_yml ADDRESS: deploy/prometheus/kubernetes.yml, with what Kubernetes would tell of a worker's pod there, and of
# somebody else's, in the place of asking Kubernetes. Debian's Prometheus cannot ask.
kubernetes_yml() {
    local pod='__meta_kubernetes_pod'
    sed "/kubernetes_sd_configs:/,/role: pod/c\\
    static_configs:\\
      - targets: [\"$1\"]\\
        labels: { ${pod}_label_app_kubernetes_io_name: whippet, ${pod}_label_app_kubernetes_io_component: worker,\\
                  ${pod}_container_port_name: admin, ${pod}_phase: Running, ${pod}_name: whippet-7d9f, __meta_kubernetes_namespace: shop }\\
      - targets: [\"$1\"]\\
        labels: { ${pod}_label_app_kubernetes_io_name: another, ${pod}_container_port_name: admin, ${pod}_name: another-1 }" \
        deploy/prometheus/kubernetes.yml
}

# prometheus_begin NAME FILE: a Prometheus with that configuration, which scrapes each second; sets $prometheus.
prometheus_begin() {
    sed "s/15s/1s/; s|alerts.yml|$PWD/deploy/prometheus/alerts.yml|" "$2" >"$work/$1.yml"
    prometheus --config.file="$work/$1.yml" --storage.tsdb.path="$work/$1" --web.listen-address=127.0.0.1:0 \
        2>"$work/$1.log" &
    children+=($!)
    await 30 address_in "$work/$1.log" 'address=' >/dev/null || fail "Prometheus does not say where it listens"
    prometheus=$(address_in "$work/$1.log" 'address=')
}

# answers QUERY TEXT
answers() {
    promtool query instant "http://$prometheus" "$1" 2>"$work/query.log" | grep -q -- "$2"
}

# Every question of the dashboard has an answer.
dashboard_is_answered() {
    local question
    while read -r question; do
        await 30 answers "$question" '=> ' || fail "the dashboard asks in vain: $question; $(cat "$work/query.log")"
    done <"$work/questions"
}

echo "the rules and the configurations are sound, and each alert fires when it should"
(
    cd deploy/prometheus && promtool check config prometheus.yml && promtool check config compose.yml &&
        promtool test rules alerts_test.yml
) >"$work/promtool.log" 2>&1 || fail "promtool finds fault with deploy/prometheus"

cat >"$work/whippet.json" <<'END'
{ "amqp": { "url": "amqp://127.0.0.1:1/" }, "admin": { "listen": "127.0.0.1:0" },
  "queues": [ { "name": "orders", "processor": "log" } ] }
END
"$program" run -c "$work/whippet.json" 2>"$work/worker.log" &
children+=($!)
await 20 address_in "$work/worker.log" 'http://' >/dev/null || fail "the worker does not say where its admin port is"
worker=$(address_in "$work/worker.log" 'http://')

echo "every metric that is used exists"
curl -sf "http://$worker/metrics" >"$work/metrics" || fail "no metrics at $worker"
promtool check metrics <"$work/metrics" >"$work/check.log" 2>&1 || fail "promtool finds fault with the metrics"
python3 -m json.tool deploy/grafana/dashboards/whippet.json >/dev/null || fail "the dashboard is not JSON"
grep '^# TYPE' "$work/metrics" | cut -d' ' -f3 | sort >"$work/families"
# A histogram's samples have suffixes; a queue without a delivery has no last one.
grep -ohE '\b(whippet|messaging|process)_[a-z_]+' deploy/grafana/dashboards/whippet.json deploy/prometheus/alerts.yml |
    sed -E 's/_(bucket|count|sum)$//' | sort -u >"$work/used"
unknown=$(comm -23 "$work/used" "$work/families")
[ -z "$unknown" ] || fail "there are no such metrics: $unknown"

echo "a real Prometheus scrapes it, and finds what there is"
sed "s/localhost:9464/$worker/" deploy/prometheus/prometheus.yml >"$work/here.yml"
prometheus_begin prometheus "$work/here.yml"
await 30 answers 'up{job="whippet"}' '=> 1 @' || fail "Prometheus cannot scrape $worker"
await 30 answers 'whippet_subscription_up{queue="orders",processor="log"}' '=> 0 @' || fail "it knows nothing of the queue"
await 30 answers 'ALERTS{alertname="WhippetSubscriptionDown"}' 'alertstate="pending"' || fail "the alert is not on its way"

echo "and it answers every question of the dashboard"
# What Grafana puts in for its variables.
python3 - deploy/grafana/dashboards/whippet.json >"$work/questions" <<'END' || fail "the dashboard holds no questions"
import json, sys

def questions(part):
    if isinstance(part, dict):
        if "expr" in part:
            yield part["expr"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from questions(inner)

found = list(questions(json.load(open(sys.argv[1]))))
assert found
for question in found:
    print(question.replace("$__rate_interval", "1m").replace("$queue", ".*"))
END
dashboard_is_answered

echo "in Kubernetes it finds the worker's pods, by their names, and nobody else's"
kubernetes_yml "$worker" >"$work/there.yml"
prometheus_begin kubernetes "$work/there.yml"
await 30 answers 'up{job="whippet",namespace="shop",instance="whippet-7d9f"}' '=> 1 @' || fail "the worker's pod is not scraped"
answers 'count(up)' '=> 1 @' || fail "another pod is scraped"
await 30 answers 'ALERTS{alertname="WhippetSubscriptionDown",namespace="shop"}' 'alertstate="pending"' ||
    fail "the alert is not on its way in Kubernetes"
dashboard_is_answered
