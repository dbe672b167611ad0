// Package fuse answers what the kernel asks of a FUSE filesystem that has one
// directory with read-only files, and with logs that a reader can wait for
// (include/uapi/linux/fuse.h of Linux, protocol 7.23 and later, Linux 3.15).
//
// The holder links this package, so it imports no library: each page that a library
// touches costs memory for each running VPS. Nothing in it allocates memory.
package fuse

import "unsafe"

const (
	// RequestSize is how large the buffer for one request has to be, in bytes:
	// the kernel reads no request into a smaller one.
	RequestSize = 8192
	// AnswerSize is more than the longest answer, without a file's content, in bytes.
	AnswerSize = 256
	// MaxRead is the most of a file that one request asks for, in bytes.
	MaxRead = 128 << 10
)

// A Server has the answers for one filesystem.
type Server struct {
	// Names are the files. Their order gives them their numbers: see Content.
	Names []string
	// Owner is the user and the group of the files, on the host.
	Owner uint32
	// Content returns the rest of a file from offset on: file is its index in
	// Names, handle the number of this open(2) of it; 0 is for stat(2). nil means that
	// every file is empty. The slice is used before the next call.
	Content func(file int, handle, offset uint64) []byte
	// Random returns a number that the VPS cannot guess: see Notice.
	Random func() uint64
	// Logs answers for the last LogCount files; nil means that they cannot be opened.
	Logs     Logs
	LogCount int

	opens  uint64
	notice noticeOut
}

// Operations (enum fuse_opcode).
const (
	opLookup      = 1
	opForget      = 2
	opGetAttr     = 3
	opSetAttr     = 4
	opOpen        = 14
	opRead        = 15
	opWrite       = 16
	opStatFS      = 17
	opRelease     = 18
	opInit        = 26
	opInterrupt   = 36
	opDestroy     = 38
	opPoll        = 40
	opBatchForget = 42
	opSeek        = 46
)

// Errors (asm-generic/errno*.h).
const (
	errNotAllowed = 1
	errNotFound   = 2
	errIO         = 5
	errDenied     = 13
	errNoCommand  = 38
)

const (
	major = 7
	minor = 31

	rootNode  = 1
	firstFile = 2 // the node of Names[0]

	valid = 1 << 30 // seconds: names never change

	notifyStore = 4       // FUSE_NOTIFY_STORE
	leastSize   = 1 << 61 // bytes: more than any file has, and half of what the kernel allows

	typeDirectory = 0o040555
	typeFile      = typeRegular | 0o444
	typeRegular   = 0o100000

	writable  = 3 // O_ACCMODE
	directIO  = 1 // FOPEN_DIRECT_IO: each read(2) comes here, and the size is not known
	blockSize = 4096
)

// inHeader is struct fuse_in_header.
type inHeader struct {
	length, operation uint32
	unique, node      uint64
	uid, gid, pid     uint32
	_                 uint32
}

// outHeader is struct fuse_out_header.
type outHeader struct {
	length uint32
	err    int32
	unique uint64
}

const (
	inSize  = int(unsafe.Sizeof(inHeader{}))
	outSize = int(unsafe.Sizeof(outHeader{}))
)

// attr is struct fuse_attr.
type attr struct {
	ino, size, _          uint64
	_                     [3]uint64 // times
	_                     [3]uint32
	mode, links, uid, gid uint32
	_, blockSize, _       uint32
}

// entryOut is struct fuse_entry_out.
type entryOut struct {
	node, _      uint64
	nameValid, _ uint64 // seconds; those of attributes are 0: they change
	_            [2]uint32
	attr         attr
}

// attrOut is struct fuse_attr_out.
type attrOut struct {
	_    uint64 // seconds that they are valid
	_    [2]uint32
	attr attr
}

// initIn is the part of struct fuse_init_in that every version has.
type initIn struct{ major, minor, readAhead, _ uint32 }

// initOut is struct fuse_init_out.
type initOut struct {
	major, minor, readAhead, _ uint32 // without flags
	_                          [2]uint16
	maxWrite, timeGranularity  uint32
	_                          [9]uint32
}

type openIn struct{ flags, _ uint32 }

type openOut struct {
	handle    uint64
	openFlags uint32
	_         uint32
}

// readIn is struct fuse_read_in.
type readIn struct {
	handle, offset  uint64
	size, readFlags uint32
	_               uint64
	fileFlags, _    uint32
}

// noticeOut is struct fuse_out_header with struct fuse_notify_store_out.
type noticeOut struct {
	outHeader
	node, offset uint64
	size, _      uint32
	data         [8]byte // of which size bytes are used
}

const noticeSize = unsafe.Sizeof(noticeOut{}) - 7

type getAttrIn struct {
	flags, _ uint32
	handle   uint64
}

const withHandle = 1 // FUSE_GETATTR_FH

type statFSOut struct {
	_                     [5]uint64
	blockSize, nameLength uint32
	_                     [8]uint32
}

// Answer writes the answer to the request into answer, which has AnswerSize
// bytes. What it returns are the bytes to write to the kernel, in one call of
// writev(2): those of head, then those of content. head is nil if the request
// gets no answer. Notice comes before them, in a call of its own.
func (s *Server) Answer(request, answer []byte) (head, content []byte) {
	if len(request) < inSize {
		return nil, nil
	}
	s.notice.length = 0
	in := (*inHeader)(unsafe.Pointer(&request[0]))
	body := request[inSize:]
	a := answerer{in: in, unique: in.unique, buf: answer}
	switch in.operation {
	case opForget, opBatchForget:
		return nil, nil
	case opInterrupt:
		return s.interrupt(&a, body)
	case opInit:
		return s.hello(&a, body)
	case opLookup:
		return s.lookup(&a, body)
	case opGetAttr:
		return s.getAttr(&a, body)
	case opOpen:
		return s.open(&a, body)
	case opRead:
		return s.read(&a, body)
	case opStatFS:
		out := reply[statFSOut](&a)
		out.blockSize, out.nameLength = blockSize, 255
		return a.done()
	case opRelease:
		s.release(&a, body)
		return a.done()
	case opDestroy:
		return a.done()
	case opSetAttr:
		return s.setAttr(&a, body)
	case opWrite:
		return s.write(&a, body)
	case opSeek:
		return s.seek(&a, body)
	case opPoll:
		return s.poll(&a, body)
	}
	return a.fail(errNoCommand)
}

// Notice returns what is to be written before the answer; nil for most answers. It is
// for sendfile(2), which reads only as much as the kernel believes that the file has,
// since Linux 6.5. So each open(2) puts a byte at the end of a large file into the page
// cache, which the kernel empties then. The first answer that is shorter than asked
// corrects the size. The kernel waits for a page that is being read, so the VPS must not
// know which one it is: else it could make the holder wait for itself.
func (s *Server) Notice() []byte {
	if s.notice.length == 0 {
		return nil
	}
	return (*[noticeSize]byte)(unsafe.Pointer(&s.notice))[:]
}

func (s *Server) hello(a *answerer, body []byte) (head, content []byte) {
	in := arguments[initIn](body)
	if in == nil || in.major != major {
		return a.fail(errIO)
	}
	out := reply[initOut](a)
	out.major, out.minor = major, min(in.minor, minor)
	out.readAhead, out.maxWrite, out.timeGranularity = in.readAhead, blockSize, 1
	return a.done()
}

func (s *Server) getAttr(a *answerer, body []byte) (head, content []byte) {
	file := int(a.in.node) - firstFile
	if file >= len(s.Names) {
		return a.fail(errNotFound)
	}
	out := reply[attrOut](a)
	out.attr = s.attributes(a.in.node)
	handle := uint64(0)
	if in := arguments[getAttrIn](body); in != nil && in.flags&withHandle != 0 {
		handle = in.handle
	}
	out.attr.size = s.size(file, handle)
	return a.done()
}

// size returns the size of a file, which may be the directory.
func (s *Server) size(file int, handle uint64) uint64 {
	switch {
	case file < 0:
		return 0
	case s.isLog(file):
		if s.Logs == nil {
			return 0
		}
		return s.Logs.Size()
	case s.Content == nil:
		return 0
	}
	return uint64(len(s.Content(file, handle, 0)))
}

func (s *Server) lookup(a *answerer, name []byte) (head, content []byte) {
	if n := len(name); n > 0 && name[n-1] == 0 {
		name = name[:n-1]
	}
	for i := range s.Names {
		if a.in.node == rootNode && s.Names[i] == string(name) {
			node := uint64(firstFile + i)
			out := reply[entryOut](a)
			out.node, out.nameValid, out.attr = node, valid, s.attributes(node)
			return a.done()
		}
	}
	return a.fail(errNotFound)
}

func (s *Server) attributes(node uint64) attr {
	at := attr{ino: node, mode: typeFile, links: 1, uid: s.Owner, gid: s.Owner, blockSize: blockSize}
	if node < firstFile {
		at.mode, at.links = typeDirectory, 2
	} else if file := int(node) - firstFile; s.isLog(file) && s.Logs != nil {
		at.mode = typeRegular | s.Logs.Mode(file)
	}
	return at
}

func (s *Server) open(a *answerer, body []byte) (head, content []byte) {
	in := arguments[openIn](body)
	file := int(a.in.node) - firstFile
	handle := uint64(0)
	switch {
	case in == nil || file < 0 || file >= len(s.Names):
		return a.fail(errIO)
	case s.isLog(file) && s.Logs != nil && a.in.uid == s.Owner:
		var err int32
		if handle, err = s.Logs.Open(file, in.flags); err != 0 {
			return a.fail(err)
		}
	case s.isLog(file) || in.flags&writable != 0:
		return a.fail(errDenied)
	default:
		s.opens++
		handle = s.opens
	}
	if s.Random != nil {
		s.notice = noticeOut{outHeader: outHeader{length: uint32(noticeSize), err: notifyStore}, node: a.in.node, size: 1,
			offset: leastSize + s.Random()%leastSize}
	}
	out := reply[openOut](a)
	out.handle, out.openFlags = handle, directIO
	return a.done()
}

func (s *Server) read(a *answerer, body []byte) (head, content []byte) {
	in := arguments[readIn](body)
	file := int(a.in.node) - firstFile
	if in == nil || file < 0 || file >= len(s.Names) {
		return a.fail(errIO)
	}
	if s.isLog(file) {
		return s.readLog(a, in)
	}
	if s.Content != nil {
		content = s.Content(file, in.handle, in.offset)
		content = content[:min(len(content), int(in.size), MaxRead)]
	}
	return a.with(content)
}

// arguments returns the arguments that follow a request's header; nil if they are
// too short.
func arguments[T any](body []byte) *T {
	var t T
	if len(body) < int(unsafe.Sizeof(t)) {
		return nil
	}
	return (*T)(unsafe.Pointer(&body[0]))
}

// An answerer builds one answer.
type answerer struct {
	in     *inHeader
	unique uint64 // that of in
	buf    []byte
	size   int // without an error; 0: the header alone
}

// reply returns the room for the arguments of the answer, filled with zeros.
func reply[T any](a *answerer) *T {
	t := (*T)(unsafe.Pointer(&a.buf[outSize]))
	a.size = outSize + int(unsafe.Sizeof(*t))
	clear(a.buf[outSize:a.size])
	return t
}

func (a *answerer) done() (head, content []byte) {
	if a.size == 0 {
		a.size = outSize
	}
	return a.finish(0)
}

// with is done for an answer that has content and no arguments.
func (a *answerer) with(content []byte) (head, same []byte) {
	a.size = outSize + len(content)
	head, _ = a.done()
	return head[:outSize], content
}

func (a *answerer) fail(err int32) (head, content []byte) {
	a.size = outSize
	return a.finish(-err)
}

func (a *answerer) finish(err int32) (head, content []byte) {
	out := (*outHeader)(unsafe.Pointer(&a.buf[0]))
	out.length, out.err, out.unique = uint32(a.size), err, a.unique
	return a.buf[:min(a.size, len(a.buf))], nil
}
