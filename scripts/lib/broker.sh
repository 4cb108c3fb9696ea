# shellcheck shell=bash disable=SC1091
# A private RabbitMQ: its own node, ports, data and cookie in one folder, on loopback alone. Sourced, never run.
#
# The folder is the broker: every function takes its path. It holds
#   environment  what the server and rabbitmqctl need, as shell assignments; AMQP_URL and AMQP_PORT too
#   server.pid   the emulator's process, which leads a process group of its own
#   epmd.pid     the port mapper's
#   server.log   what the server printed; RabbitMQ's own log lies in log/
#   tls/         where there is openssl: a CA, and certificates for the broker and for the user guest
#   data/        queues and messages: they survive broker_kill and broker_stop
#   ports        all that were reserved for it
#
# A cluster is a folder with such a folder for each node: 1/, 2/, … They share the first one's port mapper and cookie.

# shellcheck source=scripts/lib/tls.sh
. "$(dirname "${BASH_SOURCE[0]}")/tls.sh"

# Where $WHIPPET_BROKER_ROOT names the root of another system, as debootstrap makes it, the RabbitMQ that is installed
# there is used: for other versions than this system's. Takes root.
broker_programs=/usr/lib/rabbitmq/bin
broker_root=${WHIPPET_BROKER_ROOT:-}
# Seconds, more of them on a busy machine; a start takes four on an idle one.
broker_start_limit=$((90 * ${WHIPPET_TEST_PATIENCE:-1}))
broker_end_limit=$((30 * ${WHIPPET_TEST_PATIENCE:-1}))
broker_names_limit=$((5 * ${WHIPPET_TEST_PATIENCE:-1}))

# Prints $1 free loopback ports, one a line. They lie below the ephemeral range: there no outgoing connection can take
# a port away while its broker is down, nor connect to itself. Another broker can't, either, where there is a second argument:
# then each is reserved by an empty folder, /tmp/whippet-port-N.
broker_free_ports() {
    perl -MSocket -e '
        my ($count, $reserve, @held) = @ARGV;
        for (1 .. 10000) {
            my ($port, $socket) = 10000 + int rand 22000;
            my $reservation = "/tmp/whippet-port-$port";
            socket($socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
            next unless bind($socket, sockaddr_in($port, inet_aton("127.0.0.1")));
            next unless $reserve ? mkdir $reservation : !-e $reservation;
            push @held, [$socket, $port];
            last if @held == $count;
        }
        print "$_->[1]\n" for @held;' "$@"
}

# Gives back those that were reserved for the folder $1.
broker_release_ports() {
    local port
    [ -r "$1/ports" ] || return 0
    while read -r port; do
        rmdir "/tmp/whippet-port-$port" 2>/dev/null
    done <"$1/ports"
}

# Fills the empty folder $1 with what a broker is made of; starts nothing. In a network namespace of its own
# $BROKER_ADDRESS may be 0.0.0.0.
broker_create() {
    local folder=$1 ports address=${BROKER_ADDRESS:-127.0.0.1}
    mkdir -p "$folder"/{home,data,log,plugins} || return 1
    mapfile -t ports < <(broker_free_ports 4 reserve | tee -a "$folder/ports")
    [ "${#ports[@]}" -eq 4 ] || return 1
    echo '[].' >"$folder/enabled_plugins"
    # Without /etc/hosts, as in a bare container, nothing else says where localhost is.
    cat >"$folder/hosts.erl" <<-END
	{host, {127,0,0,1}, ["localhost"]}.
	{lookup, [file, native]}.
	END
    cat >"$folder/rabbitmq.conf" <<-END
	listeners.tcp.1 = $address:${ports[0]}
	loopback_users = none
	disk_free_limit.absolute = 16MB
	# As it was before 4.0, which takes 16 MiB: a worker must cope with more.
	max_message_size = 134217728
	log.file.level = info
	END
    cat >"$folder/environment" <<-END
	export AMQP_PORT=${ports[0]}
	export AMQP_URL=amqp://guest:guest@127.0.0.1:${ports[0]}/
	export HOME=$folder/home
	export ERL_EPMD_ADDRESS=127.0.0.1
	export ERL_EPMD_PORT=${ports[1]}
	export ERL_INETRC=$folder/hosts.erl
	export ERL_CRASH_DUMP=$folder/log/erl_crash.dump
	export RABBITMQ_NODENAME=whippet-${ports[0]}@localhost
	export RABBITMQ_NODE_PORT=${ports[0]}
	export RABBITMQ_NODE_IP_ADDRESS=$address
	export RABBITMQ_DIST_PORT=${ports[2]}
	export RABBITMQ_MNESIA_BASE=$folder/data
	export RABBITMQ_LOG_BASE=$folder/log
	export RABBITMQ_SCHEMA_DIR=$folder/data
	export RABBITMQ_PLUGINS_EXPAND_DIR=$folder/plugins
	export RABBITMQ_ENABLED_PLUGINS_FILE=$folder/enabled_plugins
	export RABBITMQ_CONFIG_FILE=$folder/rabbitmq.conf
	export RABBITMQ_ADVANCED_CONFIG_FILE=$folder/advanced.config
	export RABBITMQ_CONF_ENV_FILE=/dev/null
	export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}'
	export RABBITMQ_CTL_ERL_ARGS='-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}'
	END
    ! command -v openssl >/dev/null || broker_add_tls "$folder" "${ports[3]}"
}

# Has the broker in the folder $1 take TLS at the port $2 as well, with or without a client's certificate, which may stand
# in for user and password. With WHIPPET_BROKER_TLS=required, nobody gets in without a certificate.
broker_add_tls() {
    local folder=$1 port=$2 required=false
    [ "${WHIPPET_BROKER_TLS:-}" != required ] || required=true
    tls_make_certificates "$folder/tls" >>"$folder/server.log" 2>&1 || return 1
    echo '[rabbitmq_auth_mechanism_ssl].' >"$folder/enabled_plugins"
    cat >>"$folder/rabbitmq.conf" <<-END
	listeners.ssl.1 = 127.0.0.1:$port
	ssl_options.cacertfile = $folder/tls/ca.pem
	ssl_options.certfile = $folder/tls/server.pem
	ssl_options.keyfile = $folder/tls/server-key.pem
	ssl_options.versions.1 = tlsv1.3
	ssl_options.versions.2 = tlsv1.2
	ssl_options.verify = verify_peer
	ssl_options.fail_if_no_peer_cert = $required
	ssl_cert_login_from = common_name
	auth_mechanisms.1 = PLAIN
	auth_mechanisms.2 = AMQPLAIN
	auth_mechanisms.3 = EXTERNAL
	END
    cat >>"$folder/environment" <<-END
	export AMQPS_PORT=$port
	export AMQPS_URL=amqps://guest:guest@localhost:$port/
	END
}

# Starts the server in the folder $1, on the ports and the data that are there, and returns once it takes connections.
# Does nothing where it runs already. On failure says why, and 1.
broker_start() {
    broker_begin "$1" && broker_await "$1"
}

# The first half of that: does not wait.
broker_begin() (
    broker_alive "$1/server.pid" && return 0
    [ -x "$broker_root$broker_programs/rabbitmq-server" ] || {
        echo "broker: RabbitMQ is not installed${broker_root:+ in $broker_root}; scripts/setup test installs it" >&2
        return 1
    }
    . "$1/environment"
    cd "$1" || return 1
    broker_alive epmd.pid || broker_launch epmd.pid epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT"
    # So marked, the script becomes the emulator instead of staying its parent: one process to stop.
    broker_set_entry "$1"
    RUNNING_UNDER_SYSTEMD=true broker_launch server.pid "${broker_entry[@]}" "$broker_programs/rabbitmq-server" -noinput
)

# Sets the array broker_entry to what stands before one of RabbitMQ's own commands: nothing, or what enters the other root
# in a mount namespace of its own, where the folder $1 is at its own place, and so is $HOME, which in a cluster is
# another node's. The process number stays.
broker_set_entry() {
    broker_entry=()
    [ -z "$broker_root" ] || broker_entry=(unshare --mount sh -c '
        root=$1 && shift
        for folder in "$1" "$HOME"; do
            mkdir -p "$root$folder" && mount --bind "$folder" "$root$folder" || exit 1
        done
        shift && mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" && exec chroot "$root" "$@"
        ' sh "$broker_root" "$1")
}

# And the second.
broker_await() {
    broker_await_port "$1" && return 0
    echo "broker: RabbitMQ in $1 did not start; the end of what it said:" >&2
    tail -n 20 "$1/server.log" >&2
    return 1
}

# Fills the empty folder $1 with $2 nodes that find each other when they start for the first time.
broker_create_cluster() {
    local folder=$1 count=$2 node nodes
    nodes=$(seq "$count")
    for node in $nodes; do
        mkdir -p "$folder/$node" && broker_create "$folder/$node" || return 1
    done
    for node in $nodes; do
        {
            echo 'cluster_formation.peer_discovery_backend = classic_config'
            # A minority stops serving until it sees the others again.
            echo 'cluster_partition_handling = pause_minority'
            broker_list_nodes "$folder"
        } >>"$folder/$node/rabbitmq.conf"
        [ "$node" -eq 1 ] || broker_share_mapper "$folder/1" "$folder/$node"
    done
}

# The lines of rabbitmq.conf that name the nodes of the cluster $1.
broker_list_nodes() {
    local node
    for node in "$1"/[0-9]*; do
        (. "$node/environment" && echo "cluster_formation.classic_config.nodes.${node##*/} = $RABBITMQ_NODENAME")
    done
}

# The node $2 uses the port mapper and the cookie of the node $1.
broker_share_mapper() {
    grep -E '^export (HOME|ERL_EPMD_PORT)=' "$1/environment" >>"$2/environment"
    ln -sf "$1/epmd.pid" "$2/epmd.pid"
}

# Starts all nodes of the cluster $1 and returns once each takes connections.
broker_start_cluster() {
    local node
    for node in "$1"/[0-9]*; do
        broker_begin "$node" || return 1
        # Whoever finds no cookie makes one, and the others must find that.
        until [ -s "$1/1/home/.erlang.cookie" ] || ! broker_alive "$node/server.pid"; do
            sleep 0.2
        done
    done
    for node in "$1"/[0-9]*; do
        broker_await "$node" || return 1
    done
}

# Runs a command in a session of its own, its process number in the file $1, its output in server.log.
broker_launch() {
    local pid_file=$1
    shift
    setsid "$@" </dev/null >>server.log 2>&1 &
    echo $! >"$pid_file"
}

# Whether the process whose number the file $1 holds runs: whether any of its threads is no zombie. In a container nobody
# may reap the process, and until its last thread is gone its ports are taken.
broker_alive() {
    local pid thread stat
    [ -r "$1" ] && read -r pid <"$1" || return 1
    for thread in "/proc/$pid/task"/*; do
        { read -r stat <"$thread/stat"; } 2>/dev/null && [[ $stat != *') Z '* ]] && return 0
    done
    return 1
}

broker_url() {
    (. "$1/environment" && echo "$AMQP_URL")
}

broker_await_port() {
    local folder=$1 deadline=$((SECONDS + broker_start_limit)) port
    port=$(. "$folder/environment" && echo "$AMQP_PORT")
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        broker_alive "$folder/server.pid" && [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# Ends the server with signal $2 (TERM: it stops in good order; KILL: as a power cut would) and waits until it is gone.
broker_end() {
    local folder=$1 signal=$2 pid deadline=$((SECONDS + broker_end_limit))
    broker_alive "$folder/server.pid" || return 0
    read -r pid <"$folder/server.pid"
    kill "-$signal" -- "-$pid" 2>/dev/null
    while broker_alive "$folder/server.pid"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.1
    done
}

broker_stop() {
    broker_end "$1" TERM
}

broker_kill() {
    broker_await_names "$1"
    broker_end "$1" KILL
}

# Stops its clock, and lets it go on: to the others it is a machine that hangs.
broker_pause() {
    broker_signal "$1" STOP
}

broker_resume() {
    broker_signal "$1" CONT
}

broker_signal() {
    local pid
    read -r pid <"$1/server.pid" && kill "-$2" -- "-$pid"
}

# RabbitMQ confirms messages of a new quorum queue before it has written down which folder is that queue's; killed in
# that half second, it starts with the queue empty (seen in 3.10.8). Waits until every folder's name is in the list.
broker_await_names() {
    local queue list deadline=$((SECONDS + broker_names_limit))
    for queue in "$1"/data/*/quorum/*/*/; do
        list=$(dirname "$queue")/names.dets
        until [ ! -e "$list" ] || grep -qaF "$(basename "$queue")" "$list" || [ $SECONDS -ge $deadline ]; do
            sleep 0.05
        done
    done
}

# Runs rabbitmqctl with the arguments after $1 against the broker in that folder. A second or two of CPU each.
broker_control() (
    . "$1/environment"
    broker_set_entry "$1"
    shift
    exec "${broker_entry[@]}" "$broker_programs/rabbitmqctl" --quiet "$@"
)

# Evaluates Erlang expressions ("a, b") inside the broker in the folder $1, and prints what the last one comes to. Costs
# next to nothing, where broker_control costs seconds.
# erl_call goes by a name of its own: by default it is the same for all of a user's, of whom the node takes one at a time. On
# a busy machine it may not be let in at once, and ends with 1; where the expressions fail, with 0.
broker_eval() (
    . "$1/environment"
    local attempt
    if ! command -v erl_call >/dev/null; then
        broker_control "$1" eval "$2."
        return
    fi
    {
        for attempt in {1..20}; do
            printf '%s.\n' "$2" |
                erl_call -h "eval$BASHPID" -e -n "$RABBITMQ_NODENAME" -c "$(cat "$HOME/.erlang.cookie")" && break
            sleep 0.5
        done
        echo
    } | sed -n -e '/^{ok, /{s///; s/}$//; p; q}' -e 'w /dev/stderr' -e 'q1'
)

# Ends what runs in the folder $1, or in the cluster's folders in it, and removes it.
broker_destroy() {
    local folder=$1 pid node
    for node in "$folder"/[0-9]*; do
        [ ! -d "$node" ] || broker_destroy "$node"
    done
    broker_end "$folder" KILL
    if broker_alive "$folder/epmd.pid"; then
        read -r pid <"$folder/epmd.pid"
        kill -KILL "$pid" 2>/dev/null
    fi
    broker_release_ports "$folder"
    rm -rf "$folder"
}
