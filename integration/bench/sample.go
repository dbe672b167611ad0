package main

import (
	"slices"
	"time"
)

// A sample is what one turn of one side took.
type sample struct {
	Wall  time.Duration `json:"wallNanoseconds,omitempty"`
	CPU   time.Duration `json:"cpuNanoseconds,omitempty"`
	Bytes float64       `json:"bytes,omitempty"`
}

// A measure is one number of a sample.
type measure struct {
	name string
	of   func(sample) float64
}

var measures = []measure{
	{"wall", func(s sample) float64 { return float64(s.Wall) }},
	{"CPU", func(s sample) float64 { return float64(s.CPU) }},
	{"bytes", func(s sample) float64 { return s.Bytes }},
}

// An outcome is what one side of a row took in all rounds, or why it took part in none or not in all.
type outcome struct {
	Peer    string   `json:"peer"`
	Samples []sample `json:"samples"`
	Error   string   `json:"error,omitempty"`
}

// A comparison is a row that has been measured. The first outcome is croft's.
type comparison struct {
	Row      string    `json:"row"`
	What     string    `json:"what"`
	Target   float64   `json:"target,omitempty"`
	Outcomes []outcome `json:"outcomes"`
}

// A spread is the middle and the ends of numbers.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf returns the spread of numbers, and false if there are none or all are 0: they were not measured.
func spreadOf(numbers []float64) (spread, bool) {
	if !slices.ContainsFunc(numbers, func(n float64) bool { return n != 0 }) {
		return spread{}, false
	}
	s := slices.Sorted(slices.Values(numbers))
	middle := s[len(s)/2]
	if len(s)%2 == 0 {
		middle = (s[len(s)/2-1] + middle) / 2
	}
	return spread{middle, s[0], s[len(s)-1]}, true
}

func (m measure) spread(samples []sample) (spread, bool) {
	var numbers []float64
	for _, s := range samples {
		numbers = append(numbers, m.of(s))
	}
	return spreadOf(numbers)
}

// ratio returns the spread of the ratios of croft's samples to a peer's of the same rounds.
func (m measure) ratio(croft, peer []sample) (spread, bool) {
	var ratios []float64
	for i := range min(len(croft), len(peer)) {
		if of := m.of(peer[i]); of != 0 {
			ratios = append(ratios, m.of(croft[i])/of)
		}
	}
	return spreadOf(ratios)
}

// A turn is one side's in one round. Round 0 is not counted.
type turn struct{ round, side int }

// turns returns who measures when: each side once in each round.
func turns(sides, rounds int) []turn {
	var all []turn
	for round := range rounds + 1 {
		for side := range sides {
			all = append(all, turn{round, side})
		}
	}
	return all
}
