// The workloads in Go on one processor: `bench-go WORKLOAD N` prints one
// number. What one operation is, and how it is measured, is told in
// bench/workloads.lua. Each is written as a Go programmer would: channels for
// queues, a closed channel for an event, container/heap for priorities.
package main

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func handover(n int) {
	queue := make(chan int, 1)
	go func() {
		for i := 0; i < n; i++ {
			queue <- i
		}
	}()
	for i := 0; i < n; i++ {
		<-queue
	}
}

func workers(n int) {
	queue := make(chan int, 100)
	var unfinished sync.WaitGroup
	for i := 0; i < 10; i++ {
		go func() {
			for range queue {
				unfinished.Done()
			}
		}()
	}
	for i := 0; i < n; i++ {
		unfinished.Add(1)
		queue <- i
	}
	unfinished.Wait()
	close(queue)
}

// together runs body in count goroutines and waits for them.
func together(count int, body func()) {
	var running sync.WaitGroup
	running.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			defer running.Done()
			body()
		}()
	}
	running.Wait()
}

func yield(n int) {
	together(100, func() {
		for i := 0; i < n/100; i++ {
			runtime.Gosched()
		}
	})
}

// start makes a goroutine that can be awaited.
func start(body func()) chan struct{} {
	done := make(chan struct{})
	go func() {
		body()
		close(done)
	}()
	return done
}

func nothing() {}

func spawn(n int) {
	tasks := make([]chan struct{}, n)
	for i := range tasks {
		tasks[i] = start(nothing)
	}
	for _, done := range tasks {
		<-done
	}
}

func spawnOne(n int) {
	for i := 0; i < n; i++ {
		<-start(nothing)
	}
}

func sleepers(n int) {
	together(n, func() {
		time.Sleep(time.Duration(rand.Float64() * float64(time.Second)))
	})
}

type numbers []float64

func (h numbers) Len() int           { return len(h) }
func (h numbers) Less(i, j int) bool { return h[i] < h[j] }
func (h numbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *numbers) Push(x any)        { *h = append(*h, x.(float64)) }
func (h *numbers) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func priorities(n int) {
	h := &numbers{}
	for i := 0; i < n; i++ {
		heap.Push(h, rand.Float64())
	}
	for i := 0; i < n; i++ {
		heap.Pop(h)
	}
}

func lock(n int) {
	var mutex sync.Mutex
	together(100, func() {
		for i := 0; i < n/100; i++ {
			mutex.Lock()
			runtime.Gosched()
			mutex.Unlock()
		}
	})
}

func lockFree(n int) {
	var mutex sync.Mutex
	for i := 0; i < n; i++ {
		mutex.Lock()
		mutex.Unlock()
	}
}

// get receives under a deadline, as wait_for does.
func get(queue chan int) {
	deadline, cancel := context.WithTimeout(context.Background(),
		10*time.Second)
	defer cancel()
	select {
	case <-queue:
	case <-deadline.Done():
	}
}

func waitForReady(n int) {
	queue := make(chan int, 1)
	for i := 0; i < n; i++ {
		queue <- i
		get(queue)
	}
}

func waitForWait(n int) {
	queue := make(chan int, 1)
	go func() {
		for i := 0; i < n; i++ {
			queue <- i
			runtime.Gosched()
		}
	}()
	for i := 0; i < n; i++ {
		get(queue)
	}
}

// An event that can be set and cleared: each round has a channel of its own.
// A goroutine that is preempted before it waits would miss a round, so those
// who wait are counted.
type event struct {
	mutex   sync.Mutex
	round   chan struct{}
	waiting int
}

func (e *event) wait() {
	e.mutex.Lock()
	e.waiting++
	round := e.round
	e.mutex.Unlock()
	<-round
}

// setAndClear tells whether all were waiting; if not, it did nothing.
func (e *event) setAndClear(all int) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.waiting < all {
		return false
	}
	e.waiting = 0
	close(e.round)
	e.round = make(chan struct{})
	return true
}

func broadcast(n int) {
	const all = 10000
	e := event{round: make(chan struct{})}
	rounds := n / all
	var running sync.WaitGroup
	running.Add(all)
	for i := 0; i < all; i++ {
		go func() {
			for i := 0; i < rounds; i++ {
				e.wait()
			}
			running.Done()
		}()
	}
	for i := 0; i < rounds; i++ {
		for !e.setAndClear(all) {
			runtime.Gosched()
		}
	}
	running.Wait()
}

func rss() int {
	data, _ := os.ReadFile("/proc/self/statm")
	var size, pages int
	fmt.Sscan(string(data), &size, &pages)
	return pages * os.Getpagesize()
}

func memory(n int) float64 {
	before := rss()
	for i := 0; i < n; i++ {
		go time.Sleep(time.Hour)
	}
	runtime.Gosched()
	return float64(rss()-before) / float64(n)
}

// lateness tells how late each of n sleeps woke, sorted.
func lateness(n int) []time.Duration {
	var late []time.Duration
	together(n, func() {
		duration := time.Duration(rand.Float64() * float64(time.Second))
		start := time.Now()
		time.Sleep(duration)
		late = append(late, time.Since(start)-duration)
	})
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	return late
}

func early(n int) int {
	count := 0
	for _, late := range lateness(n) {
		if late < 0 {
			count++
		}
	}
	return count
}

func wall() int64 {
	return time.Since(begun).Nanoseconds()
}

func cpu() int64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return used.Utime.Nano() + used.Stime.Nano()
}

// timed tells nanoseconds an operation, after a warm-up of a tenth.
func timed(body func(int), n int, now func() int64) float64 {
	body(n / 10)
	runtime.GC()
	start := now()
	body(n)
	return float64(now()-start) / float64(n)
}

var begun = time.Now()

var workloads = map[string]func(int){
	"handover": handover, "workers": workers, "yield": yield,
	"spawn": spawn, "spawn_one": spawnOne, "priorities": priorities,
	"lock": lock, "lock_free": lockFree, "wait_for_ready": waitForReady,
	"wait_for_wait": waitForWait, "broadcast": broadcast,
}

func main() {
	runtime.GOMAXPROCS(1)
	n := 0
	if len(os.Args) > 2 {
		n, _ = strconv.Atoi(os.Args[2])
	}
	switch name := os.Args[1]; name {
	case "start":
	case "sleepers":
		fmt.Println(timed(sleepers, n, cpu))
	case "memory":
		fmt.Println(memory(n))
	case "early":
		fmt.Println(early(n))
	case "late":
		fmt.Println(float64(lateness(n)[n/2].Nanoseconds()) / 1000)
	default:
		fmt.Println(timed(workloads[name], n, wall))
	}
}
