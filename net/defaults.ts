/** Bytes per packet in every network: the gateway carries jumbo frames (measured: twice the throughput of 1500). */
export const NETWORK_MTU = 65_520;

/** Port of the proxy on the loopback of a machine without a NIC. */
export const OUTBOUND_PORT = 3128;
