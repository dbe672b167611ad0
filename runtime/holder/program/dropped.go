package main

import (
	"croft/runtime/holder/kmsg"
	"croft/runtime/holder/protocol"
)

// dropped are the packets of the VPS that the host's filters have dropped. Nothing tells
// the holder of them. It looks when a program in the VPS opens the kernel messages; and
// while one has them open, such as the journal, when the holder is awake anyway.
type dropped struct {
	path string // of a file with a line for each count, ended by a zero; "": there are none
	next int64  // when a program that opens the messages is a reason to look, in milliseconds,
	idle int64  // and when being awake is one
	told [maxDropCounts]dropCount
	text [16 << 10]byte
	line [256]byte
	nft  netfilter
}

// A dropCount is what was told of one line of the file.
type dropCount struct{ line, packets uint64 }

const (
	maxDropCounts = 256

	openRest = 1000
	idleRest = 60_000
)

func (d *dropped) open(c protocol.Config) {
	if c.Filters != "" && h.kmsg.on {
		d.path = c.Filters + "\x00"
	}
}

// work is for a holder that is awake.
func (d *dropped) work(now int64) {
	if d.path != "" && now >= d.idle && h.kmsg.log.Followed() {
		d.look(now)
	}
}

// glance is for a program that opens the kernel messages.
func (d *dropped) glance(now int64) {
	if d.path != "" && now >= d.next {
		d.look(now)
	}
}

// look tells of the counts that have grown.
func (d *dropped) look(now int64) {
	d.next, d.idle = now+openRest, now+idleRest
	text := readAt(protocol.None, d.path, d.text[:])
	if len(text) == 0 || !d.nft.open() {
		return
	}
	for from, i := 0, 0; i < len(text); i++ {
		if text[i] == '\n' {
			d.ask(text[from:i])
			from = i + 1
		}
	}
	d.nft.close()
	forget(d.text[:])
}

// ask is look for one line: FAMILY, TABLE, SET or CHAIN, LINK or nothing, and the message.
func (d *dropped) ask(line []byte) {
	var fields [5][]byte
	for n, from, i := 0, 0, 0; i <= len(line); i++ {
		if i < len(line) && (line[i] != '\t' || n == len(fields)-1) {
			continue
		}
		fields[n] = line[from:i]
		n, from = n+1, i+1
	}
	family, table, name, link, message := fields[0], fields[1], fields[2], fields[3], fields[4]
	if len(family) != 1 || len(message) == 0 || len(message) > len(d.line)-20 {
		return
	}
	packets := d.nft.packets(family[0]-'0', table, name, link)
	told := d.find(line)
	if told == nil {
		return
	}
	if packets > told.packets {
		h.kmsg.say(kmsg.Warning, appendDecimal(append(d.line[:0], message...), int(packets)))
	}
	told.packets = packets // an interface that was removed and added counts from 0
}

// find returns what was told of a line; nil if there are too many lines.
func (d *dropped) find(line []byte) *dropCount {
	hash := uint64(14695981039346656037) // FNV-1a
	for _, c := range line {
		hash = (hash ^ uint64(c)) * 1099511628211
	}
	for i := range d.told {
		t := &d.told[i]
		if t.line == 0 {
			t.line = hash
		}
		if t.line == hash {
			return t
		}
	}
	return nil
}
