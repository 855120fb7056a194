/** What one message may cost. Whoever can send us a datagram can send us a million of them. */

/** Characters of a message that are looked at; every fact that we look for stands in front of them. */
export const mostText = 4_096;
/** Bytes of a message; a stream that sends a longer one is not speaking syslog. */
export const mostFrameBytes = 65_536;
/** Streams that are open at once, in total and from one address. */
export const mostStreams = 256;
export const mostStreamsOfOneAddress = 16;
/** The rest of a message that began has to come within this time. */
export const partialMs = 60_000;
/** A stream may be silent for so long. Long: a device whose stream was closed loses the next message that it sends. */
export const idleMs = 24 * 3_600_000;
/** A TLS handshake has to be over after this time. */
export const handshakeMs = 10_000;
