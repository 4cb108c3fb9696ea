# shellcheck shell=bash
# What scripts/test can do: each job_NAME runs from the top of the tree and adds what it found to the count of tests
# passed and failed. A job never stops the ones after it. $chaos_minutes is what --chaos-minutes was given. Sourced, never
# run.
: "${chaos_minutes:=}"

passed=0
failed=0

export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
# Whippet's own handlers tell of crashes, and tests make it crash.
export TSAN_OPTIONS=suppressions=$PWD/tests/tsan.suppressions:halt_on_error=1:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:${TSAN_OPTIONS:-}
# Deadlines are for a quick machine, and this one may be busy.
export WHIPPET_TEST_PATIENCE=${WHIPPET_TEST_PATIENCE:-3}

# The last line that a person or a machine reads; the exit status says the same.
jobs_report() {
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ] && [ $passed -gt 0 ]
}

# count_job STATUS WHAT: a job that is one test.
count_job() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: $2"
    fi
}

# build FOLDER PRESET OPTIONS…: configures and builds build/FOLDER. Shows what the compiler said only when it fails. There is a
# program for each file of tests, which lld links in a third of the time that the usual linker takes.
build() {
    local folder=build/$1 log=build/$1.log generator=() linker=()
    [ "$2" = release ] || ! command -v ld.lld >/dev/null || linker=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld)
    mkdir -p build
    # A folder that was configured before keeps its generator.
    [ -e "$folder/CMakeCache.txt" ] || ! command -v ninja >/dev/null || generator=(-G Ninja)
    {
        cmake --preset "$2" -B "$folder" "${generator[@]}" "${linker[@]}" "${@:3}" && cmake --build "$folder" --parallel "$(nproc)"
    } >"$log" 2>&1 && return 0
    grep -E -A 12 'error:|Error|FAILED' "$log" | head -n 80
    say "all of it is in $log"
    return 1
}

# run_tests FOLDER OPTIONS…: runs CTest in build/FOLDER and counts. Tests wait most of the time, so more of them run at
# once ($at_once) than there are processors. ${around[@]} is what to run CTest in.
around=()
at_once=$((2 * $(nproc)))
run_tests() {
    local report=$PWD/build/$1/tests.xml found
    rm -f "$report"
    "${around[@]}" ctest --test-dir "build/$1" --output-on-failure --no-tests=error --parallel "$at_once" \
        --output-junit "$report" --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        "${@:2}" </dev/null
    read -ra found < <(count_tests "$report")
    passed=$((passed + found[0]))
    failed=$((failed + found[1]))
}

# One RabbitMQ for all integration tests.
run_all_tests() {
    local around=(scripts/broker with)
    run_tests "$@"
}

run_unit_tests() {
    run_tests "$@" --label-regex unit
}

# Prints how many tests passed and how many failed, from CTest's report; no report is a failure. A test of CTest's
# counts as all that Criterion found in it, or as one. Where CTest saw more than Criterion did (a leak at the end, a
# timeout), that is one failure. One that says it cannot run here (status 77) is neither.
count_tests() {
    [ -s "$1" ] || {
        echo 0 1
        return
    }
    awk '
        /<testcase / {
            good = /status="run"/
            criterion = skipped = passing = failing = 0
        }
        /<skipped message="SKIP_RETURN_CODE/ { skipped = 1 }
        /Synthesis: Tested:/ {
            for (i = 1; i < NF; i++) {
                if ($i == "Passing:") passing = $(i + 1)
                if ($i == "Failing:") failing = $(i + 1)
            }
            criterion = 1
        }
        /<\/testcase>/ && !skipped {
            passed += criterion ? passing : good
            failed += failing ? failing : !good
        }
        END { print passed + 0, failed + 0 }' "$1"
}

# build_and RUN PRESET OPTIONS…: builds a preset in the folder of its name, then runs its tests.
build_and() {
    if build "$2" "$2"; then
        "$1" "${@:2}"
    else
        count_job 1 "the build of $2"
    fi
}

with_clang=(-DCMAKE_C_COMPILER=clang -DWHIPPET_BENCH=ON -DWHIPPET_CHARTS_FOLDER=none)

# The project's own C files.
sources() {
    find src cmd include processors tests bench -name '*.[ch]' 2>/dev/null | sort
}

# Those in which calls fail do little but wait until they may try again.
run_with_faults() {
    run_all_tests "$@" --label-exclude faults
    local at_once=$((8 * $(nproc)))
    run_tests "$@" --label-regex faults
}

job_sanitized() {
    build_and run_with_faults asan+ubsan
}

# run_chaos OPTIONS…: the scenarios of tests/chaos, each of which is one test.
run_chaos() {
    local log=build/chaos.log found
    if build asan+ubsan asan+ubsan; then
        tests/chaos/run "$@" </dev/null | tee "$log"
        found=$(sed -n 's/^seed [0-9]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
        read -ra found <<<"${found:-0 1}"
        passed=$((passed + found[0]))
        failed=$((failed + found[1]))
    else
        count_job 1 "the build of asan+ubsan"
    fi
}

# The same faults each time; chance is for the nights.
job_chaos() {
    run_chaos --seed "${WHIPPET_CHAOS_SEED:-1}"
}

job_chaos_minutes() {
    run_chaos --minutes "$chaos_minutes"
}

job_quick() {
    build_and run_unit_tests asan+ubsan
}

# By the other compiler, and without the dashboard's charts, as where there is no npm. Scripts that test the program, and no
# code of ours, are left to the job sanitized.
job_ucontext() {
    if build ucontext ucontext "${with_clang[@]}"; then
        run_unit_tests ucontext --tests-regex '^unit\.'
    else
        count_job 1 "the build with clang, on the other coroutine backend"
    fi
}

job_release() {
    build release release
    count_job $? "the release build"
}

build_clang() {
    build clang debug "${with_clang[@]}"
}

job_clang() {
    build_clang
    count_job $? "the build with clang"
}

# The format is that of Debian 12's clang-format; others differ in small things.
job_format() {
    local unformatted
    if ! clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
        say "skipped: this needs clang-format 14"
        return
    fi
    unformatted=$(sources | xargs clang-format --dry-run -Werror 2>&1 | sed -n 's/:[0-9]*:[0-9]*: error:.*//p' | sort -u)
    [ -z "$unformatted" ]
    count_job $? "not formatted; mend it with: clang-format -i $(xargs <<<"$unformatted")"
}

job_tsan() {
    WHIPPET_TEST_PATIENCE=10 build_and run_all_tests tsan
}

# What has the most threads: both loops, offloaded calls, the admin port and the export of traces. Of the build no more than
# that takes.
job_tsan_short() {
    local programs=(run_modes traces admin background)
    mkdir -p build
    if cmake --preset tsan >build/tsan.log 2>&1 &&
        cmake --build build/tsan --parallel "$(nproc)" --target whippet "${programs[@]/#/integration_}" >>build/tsan.log 2>&1; then
        WHIPPET_TEST_PATIENCE=10 run_all_tests tsan --tests-regex '^integration\.(run_modes|traces|admin|background)$'
    else
        grep -E -A 12 'error:|Error|FAILED' build/tsan.log | head -n 80
        count_job 1 "the build of tsan"
    fi
}

# The unit tests, by a runner that starts Valgrind once for each program (tests/valgrind).
job_valgrind() {
    local WHIPPET_TEST_PATIENCE=10
    export WHIPPET_TEST_PATIENCE
    if build valgrind debug -DWHIPPET_VALGRIND=ON -DWHIPPET_TEST_TIMEOUT=1800; then
        run_unit_tests valgrind --tests-regex '^unit\.'
    else
        count_job 1 "the build for Valgrind"
    fi
}

job_tidy() {
    build_clang && sources | grep '\.c$' | grep -E '^(src|cmd|processors)/' |
        xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/clang
    count_job $? "clang-tidy"
}

# Long enough to see that the targets build and stand; who looks for more runs tests/fuzz/run by hand.
job_fuzz() {
    tests/fuzz/run 30
    count_job $? "the fuzzers"
}

# count_summary LOG OTHERWISE: adds the "N passed, N failed" that LOG ends with; a log without it is a failure.
count_summary() {
    if [[ $(tail -n 1 "$1") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        count_job 1 "$2"
    fi
}

# run_containers SECONDS OPTIONS…: the scenarios of tests/containers, each of which is one test. It counts them itself. An
# engine that hangs is given up after $1 seconds.
run_containers() {
    local log=build/containers.log
    mkdir -p build
    timeout --kill-after 60 "$1" tests/containers/run "${@:2}" </dev/null | tee "$log"
    count_summary "$log" "the containers' tests did not run to their end"
}

job_containers() {
    run_containers 3600
}

# The most telling ones, where root can start an engine.
job_containers_short() {
    run_containers 1500 --if-possible --short
}

# Each of the two is a test on each release.
job_releases() {
    local log=build/releases.log
    mkdir -p build
    tests/containers/releases </dev/null | tee "$log"
    count_summary "$log" "the releases' tests did not run to their end"
}

# Where clang's fuzzer is installed, a moment of each. What was ever found is replayed by the job sanitized in any case.
job_fuzz_short() {
    local program=build/fuzzer-is-there
    mkdir -p build
    if ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n > 0; }' |
        clang -fsanitize=fuzzer -x c - -o "$program" 2>/dev/null; then
        say "skipped: this needs clang's fuzzer (scripts/setup fuzz)"
        return
    fi
    rm -f "$program"
    tests/fuzz/run 1
    count_job $? "the fuzzers"
}
