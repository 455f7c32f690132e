package main

import "testing"

// A machine that may not be connected to may connect itself: what answers it opens nothing.
func TestOnlySynOpens(t *testing.T) {
	eth := make([]byte, ethernetSize+40)
	eth[12], eth[13] = 8, 0
	ip := eth[ethernetSize:]
	ip[0], ip[9] = 0x45, 6
	copy(ip[12:16], []byte{10, 0, 0, 2})
	copy(ip[16:20], []byte{10, 0, 0, 3})
	for flags, opens := range map[byte]bool{0x02: true, 0x12: false, 0x10: false, 0x18: false, 0x04: false, 0x14: false, 0x00: true, 0x01: true} {
		ip[20+13] = flags
		if protocol, _, _, got := describe(eth); protocol != "tcp" || got != opens {
			t.Errorf("flags %#x: %s %v", flags, protocol, got)
		}
	}
}
