# shellcheck shell=bash disable=SC1091
# A private PostgreSQL: its own port, data and socket in one folder, on loopback alone. Sourced, never run.
#
# The folder is the server: every function takes its path. It holds
#   environment  where it is, as libpq's variables: PGHOST (its socket's folder), PGPORT, PGUSER, PGDATABASE. Whoever
#                comes by TCP needs the password in the file `password`
#   server.log   what the server printed
#   tls/         where there is openssl: a CA, and the server's certificate for localhost
#   data/        the database: it survives postgres_kill and postgres_stop

# shellcheck source=scripts/lib/tls.sh
. "$(dirname "${BASH_SOURCE[0]}")/tls.sh"

# The newest that is installed.
postgres_programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
# Seconds, more of them on a busy machine; a start takes a tenth of one on an idle one.
postgres_start_limit=$((60 * ${WHIPPET_TEST_PATIENCE:-1}))
postgres_end_limit=$((30 * ${WHIPPET_TEST_PATIENCE:-1}))

# What stands before the server's own commands, to run them as a user that may: PostgreSQL refuses root.
postgres_as_owner=()
[ "$(id -u)" -ne 0 ] || postgres_as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)

# Prints a free loopback port below the ephemeral range, where no outgoing connection can take it meanwhile, and that is no
# broker's (broker_free_ports).
postgres_free_port() {
    perl -MSocket -e '
        for (1 .. 1000) {
            my $port = 10000 + int rand 22000;
            socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
            next unless bind($socket, sockaddr_in($port, inet_aton("127.0.0.1"))) && !-e "/tmp/whippet-port-$port";
            print "$port\n";
            exit;
        }
        exit 1;'
}

# Fills the empty folder $1 with what a server is made of; starts nothing.
postgres_create() {
    local folder=$1 port
    [ -x "$postgres_programs/initdb" ] || {
        echo "postgres: PostgreSQL is not installed; scripts/setup test installs it" >&2
        return 1
    }
    port=$(postgres_free_port) || return 1
    echo secret >"$folder/password"
    mkdir "$folder/socket"
    ! command -v openssl >/dev/null || tls_make_certificates "$folder/tls" >>"$folder/server.log" 2>&1 || return 1
    cat >"$folder/environment" <<-END
	export PGHOST=$folder/socket
	export PGPORT=$port
	export PGUSER=whippet
	export PGDATABASE=postgres
	END
    [ "$(id -u)" -ne 0 ] || chown -R postgres:postgres "$folder" || return 1
    "${postgres_as_owner[@]}" "$postgres_programs/initdb" --pgdata="$folder/data" --username=whippet --pwfile="$folder/password" \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-locale --no-sync --no-instructions \
        </dev/null >>"$folder/server.log" 2>&1 || return 1
    postgres_configure "$folder" >>"$folder/data/postgresql.conf"
}

postgres_configure() {
    cat <<-END
	listen_addresses = '127.0.0.1'
	unix_socket_directories = '$1/socket'
	log_statement = 'none'
	# What is killed is the process, never the machine.
	fsync = off
	autovacuum = off
	END
    [ ! -d "$1/tls" ] || cat <<-END
	ssl = on
	ssl_cert_file = '$1/tls/server.pem'
	ssl_key_file = '$1/tls/server-key.pem'
	END
}

# Starts the server in the folder $1 and returns once it takes connections. On failure says why, and 1.
postgres_start() (
    . "$1/environment"
    ! postgres_alive "$1" || return 0
    # What a killed one left.
    rm -f "$1/data/postmaster.pid" "$1"/socket/.s.PGSQL.*
    cd "$1" || return 1
    "${postgres_as_owner[@]}" setsid "$postgres_programs/postgres" -D "$1/data" -p "$PGPORT" </dev/null >>server.log 2>&1 &
    echo $! >server.pid
    postgres_await "$1" && return 0
    echo "postgres: the server in $1 did not start; the end of what it said:" >&2
    tail -n 20 server.log >&2
    return 1
)

postgres_await() {
    local deadline=$((SECONDS + postgres_start_limit))
    until "$postgres_programs/pg_isready" --quiet; do
        postgres_alive "$1" && [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# Whether the server in the folder $1 runs.
postgres_alive() {
    local pid
    [ -r "$1/server.pid" ] && read -r pid <"$1/server.pid" && postgres_runs "$pid"
}

# Whether a process runs: a zombie that nobody reaps does not.
postgres_runs() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ $stat != *') Z '* ]]
}

# Ends the server with the signal $2 (INT: it stops in good order and cuts its connections; KILL: as a power cut would, all
# of its processes at once) and waits until it is gone.
postgres_end() {
    local folder=$1 signal=$2 pid children=() deadline=$((SECONDS + postgres_end_limit))
    postgres_alive "$folder" || return 0
    read -r pid <"$folder/server.pid"
    # Each of its processes has a group of its own.
    [ "$signal" != KILL ] || read -ra children <"/proc/$pid/task/$pid/children"
    kill "-$signal" "$pid" "${children[@]}" 2>/dev/null
    for pid in "$pid" "${children[@]}"; do
        while postgres_runs "$pid"; do
            [ $SECONDS -lt $deadline ] || return 1
            sleep 0.05
        done
    done
}

postgres_stop() {
    postgres_end "$1" INT
}

postgres_kill() {
    postgres_end "$1" KILL
}

postgres_destroy() {
    postgres_end "$1" KILL
    rm -rf "$1"
}
