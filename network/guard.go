package network

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// The guard is the second line of defence, for times when another program has
// flushed nftables. It consists of programs at links (tc-bpf(8)), which no
// flush removes. The program at the port marks frames that do not come from the
// VPS's own MAC and addresses. The programs behind it, at the bridge itself
// and, in a segment, at the other ports, drop marked frames. The filters stand
// between the two and check and count marked frames like all others. So while
// the filters are in place, the guard drops nothing.
//
// Only croft's own bridges have a guard. A routed link and a foreign bridge
// have no place for it behind the filters.
const guardMark = 0x0c20f7ed

// Offsets in struct __sk_buff (linux/bpf.h), and in a frame.
const (
	skbLen         = 0
	skbMark        = 8
	skbVLANPresent = 20

	offEtherDest   = 0
	offEtherSource = 6
	offEtherType   = 12
	offARPHead     = 14
	offARPSender   = 22
	offARPSource   = 28
	offIP4Source   = 26
	offIP4Dest     = 30
	offIP6Source   = 22
)

// Verdicts of a program at a link (linux/pkt_cls.h): actUnspec leaves the
// decision to the next filter, actShot drops the frame.
const (
	actUnspec = -1
	actShot   = 2
)

// HasGuard reports whether p's port has a guard; see guardMark.
func (p Plan) HasGuard() bool { return p.Mode == ModeBridge && p.HasPort() && !p.Foreign }

// GuardProgram returns the program at p's port.
func (p Plan) GuardProgram() asm.Instructions {
	var own4, own6 []netip.Addr
	for _, a := range p.OwnAddresses() {
		if a.Is4() {
			own4 = append(own4, a)
		} else {
			own6 = append(own6, a)
		}
	}
	if len(own6) > 0 {
		own6 = append(own6, netip.IPv6Unspecified()) // its source before it has an address
	}
	prog := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), // loads from the frame expect the context in R6
		asm.LoadMem(asm.R7, asm.R6, skbLen, asm.Word),
		asm.JLT.Imm(asm.R7, 34, "bad"),
		asm.LoadMem(asm.R2, asm.R6, skbVLANPresent, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "bad"),
	}
	prog = append(prog, isMAC(offEtherSource, p.MAC)...)
	prog = append(prog, notReserved()...)
	prog = append(prog,
		asm.LoadAbs(offEtherType, asm.Half),
		asm.JEq.Imm(asm.R0, unix.ETH_P_IP, "ip4"),
		asm.JEq.Imm(asm.R0, unix.ETH_P_IPV6, "ip6"),
		asm.JNE.Imm(asm.R0, unix.ETH_P_ARP, "bad"),
		asm.JLT.Imm(asm.R7, 42, "bad"),
		asm.LoadAbs(offARPHead, asm.Word),
		asm.JNE.Imm(asm.R0, 0x00010800, "bad"),
		asm.LoadAbs(offARPHead+4, asm.Half),
		asm.JNE.Imm(asm.R0, 0x0604, "bad"))
	prog = append(prog, isMAC(offARPSender, p.MAC)...)
	prog = append(prog, isAnyIPv4(offARPSource, own4)...)
	prog = append(prog,
		asm.LoadAbs(offIP4Dest, asm.Byte).WithSymbol("ip4"),
		asm.JEq.Imm(asm.R0, 127, "bad")) // the host may route it: see Publish
	prog = append(prog, isAnyIPv4(offIP4Source, own4)...)
	prog = append(prog, asm.JLT.Imm(asm.R7, 54, "bad").WithSymbol("ip6"))
	prog = append(prog, isAnyIPv6(offIP6Source, own6)...)
	return append(prog,
		asm.Mov.Imm32(asm.R2, guardMark).WithSymbol("bad"),
		asm.StoreMem(asm.R6, skbMark, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, actUnspec).WithSymbol("good"),
		asm.Return())
}

// CatchAllProgram returns the program that drops frames marked by a guard.
func CatchAllProgram() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbMark, asm.Word),
		asm.JNE.Imm(asm.R2, guardMark, "good"),
		asm.Mov.Imm(asm.R0, actShot),
		asm.Return(),
		asm.Mov.Imm(asm.R0, actUnspec).WithSymbol("good"),
		asm.Return(),
	}
}

// isMAC continues if the frame has mac at this offset, and otherwise jumps to
// "bad".
func isMAC(at int32, mac []byte) asm.Instructions {
	return asm.Instructions{
		asm.LoadAbs(at, asm.Word),
		asm.JNE.Imm32(asm.R0, word(mac), "bad"),
		asm.LoadAbs(at+4, asm.Half),
		asm.JNE.Imm(asm.R0, int32(binary.BigEndian.Uint16(mac[4:])), "bad"),
	}
}

// notReserved continues if the frame is not for 01:80:c2:00:00:00 to :0f, and
// otherwise jumps to "bad".
func notReserved() asm.Instructions {
	return asm.Instructions{
		asm.LoadAbs(offEtherDest, asm.Word),
		asm.JNE.Imm32(asm.R0, 0x0180c200, "group"),
		asm.LoadAbs(offEtherDest+4, asm.Half),
		asm.JLT.Imm(asm.R0, 0x10, "bad"),
		asm.Mov.Reg(asm.R0, asm.R0).WithSymbol("group"),
	}
}

// isAnyIPv4 jumps to "good" if the packet has one of the addresses at this
// offset, and otherwise to "bad".
func isAnyIPv4(at int32, any []netip.Addr) asm.Instructions {
	prog := asm.Instructions{asm.LoadAbs(at, asm.Word)}
	for _, a := range any {
		prog = append(prog, asm.JEq.Imm32(asm.R0, word(a.AsSlice()), "good"))
	}
	return append(prog, asm.Ja.Label("bad"))
}

func isAnyIPv6(at int32, any []netip.Addr) asm.Instructions {
	words := []asm.Register{asm.R7, asm.R8, asm.R9, asm.R0}
	prog := asm.Instructions{}
	for i, r := range words {
		prog = append(prog, asm.LoadAbs(at+4*int32(i), asm.Word))
		if r != asm.R0 {
			prog = append(prog, asm.Mov.Reg(r, asm.R0))
		}
	}
	for i, a := range any {
		next := fmt.Sprint("not", i)
		for k, r := range words {
			prog = append(prog, asm.JNE.Imm32(r, word(a.AsSlice()[4*k:]), next))
		}
		prog = append(prog, asm.Ja.Label("good"), asm.Mov.Reg(asm.R0, asm.R0).WithSymbol(next))
	}
	return append(prog, asm.Ja.Label("bad"))
}

func word(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// A GuardProgram is an assembled program, in the form that the kernel loads.
type GuardProgram struct {
	Code []byte
	Name string // a hash of the code, to compare it with the loaded program
}

// Assemble returns prog in the byte order of this machine.
func Assemble(prog asm.Instructions) (GuardProgram, error) {
	var code strings.Builder
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	if err := prog.Marshal(&code, order); err != nil {
		return GuardProgram{}, fmt.Errorf("assemble a guard: %w", err)
	}
	h := fnv.New64a()
	h.Write([]byte(code.String()))
	return GuardProgram{[]byte(code.String()), fmt.Sprintf("croft-%016x", h.Sum64())}, nil
}

// GuardPriority is lower, and so earlier, than redirectPriority: the program
// marks frames before tc sends them through a shaper link.
const GuardPriority = 5

// guardText prints the guard of a port as commands of tc(8).
func (p Plan) guardText(line func(string, ...any)) {
	if !p.HasGuard() {
		return
	}
	line("tc qdisc add dev %s clsact", p.HostLink)
	var own []string
	for _, a := range p.OwnAddresses() {
		own = append(own, a.String())
	}
	line("tc filter replace dev %s ingress prio %d bpf direct-action # set mark %#x on all but %s with %s", p.HostLink, GuardPriority, guardMark, p.MAC, strings.Join(own, ", "))
	if p.Segment {
		catchText(p.HostLink, "egress", line)
	}
}

func catchText(link, hook string, line func(string, ...any)) {
	line("tc filter replace dev %s %s prio %d bpf direct-action # drop mark %#x", link, hook, GuardPriority, guardMark)
}
