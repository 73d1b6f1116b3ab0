//go:build linux

package awstest

import (
	"errors"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// names are those of a world: whole ones, and suffixes of any.
type names struct {
	mu       sync.Mutex
	whole    map[string]string
	suffixes map[string]string
}

func (n *names) set(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.whole == nil {
		n.whole = map[string]string{}
	}
	n.whole[name+"."] = address
}

// find returns the address of a name that ends with a dot, or "".
func (n *names) find(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = strings.ToLower(name)
	if address, ok := n.whole[name]; ok {
		return address
	}
	for suffix, address := range n.suffixes {
		if strings.HasSuffix(name, "."+suffix) {
			return address
		}
	}
	return ""
}

// serveNames is the world's DNS server. It ends with the test.
func (w *World) serveNames() {
	w.t.Helper()
	var conn net.PacketConn
	err := w.within(w.pid, func() (err error) {
		conn, err = net.ListenPacket("udp", net.JoinHostPort(dnsAddress, "53"))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if answer, err := w.names.answer(buffer[:size]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
}

// answer answers one question: with an address, with none of this type, or that there is no such name.
func (n *names) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true},
		Questions: m.Questions,
	}
	address := net.ParseIP(n.find(q.Name.String())).To4()
	switch {
	case address == nil:
		answer.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		answer.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte(address)},
		}}
	}
	return answer.Pack()
}
