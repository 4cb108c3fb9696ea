// Go's amqp091:  amqp091 URL QUEUE COUNT PREFETCH [sleep]
//
// Acknowledges each message; with "sleep" in a goroutine of its own, after a second.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	amqp "github.com/rabbitmq/amqp091-go"
)

const clockMonotonic = 1 // CLOCK_MONOTONIC, which package syscall does not name

func check(err error) {
	if err != nil {
		log.Fatalf("amqp091: %v", err)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

// Seconds of the monotonic clock, as the other consumers report them.
func now() float64 {
	var moment syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&moment)), 0)
	if failed != 0 {
		log.Fatalf("clock_gettime: %v", failed)
	}
	return float64(moment.Nano()) / 1e9
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func peak() int {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	return number(strings.Fields(after)[0])
}

type measure struct {
	messages, bytes int
	first, firstCPU float64
}

func (m *measure) message(size int) {
	if m.messages == 0 {
		m.first, m.firstCPU = now(), cpu()
	}
	m.messages++
	m.bytes += size
}

func (m *measure) print() {
	fmt.Printf(`{"messages": %d, "bytes": %d, "first": %.6f, "seconds": %.6f, "cpu": %.6f, "peak_kib": %d}`+"\n",
		m.messages, m.bytes, m.first, now()-m.first, cpu()-m.firstCPU, peak())
}

func subscribe(connection *amqp.Connection, queue string, prefetch int) <-chan amqp.Delivery {
	channel, err := connection.Channel()
	check(err)
	check(channel.Qos(prefetch, 0, false))
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	check(err)
	return deliveries
}

func main() {
	if len(os.Args) < 5 {
		log.Fatal("usage: amqp091 URL QUEUE COUNT PREFETCH [sleep]")
	}
	count, pause := number(os.Args[3]), len(os.Args) > 5 && os.Args[5] == "sleep"
	connection, err := amqp.Dial(os.Args[1])
	check(err)

	var m measure
	var sleeping sync.WaitGroup
	for delivery := range subscribe(connection, os.Args[2], number(os.Args[4])) {
		m.message(len(delivery.Body))
		if pause {
			sleeping.Add(1)
			go func(delivery amqp.Delivery) {
				defer sleeping.Done()
				time.Sleep(time.Second)
				check(delivery.Ack(false))
			}(delivery)
		} else {
			check(delivery.Ack(false))
		}
		if m.messages == count {
			break
		}
	}
	sleeping.Wait()
	m.print()
	check(connection.Close())
}
