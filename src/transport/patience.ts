/** How long the dialogue waits for what, in milliseconds of quiet. */

/** Before a prompt or a question is believed. */
export const settleMs = 100;
/** Before a prompt is believed that something speaks against: no echo was seen, or half a configuration. */
export const doubtMs = 5_000;
/** After the last word, for the far side to close. */
export const leaveMs = 250;
/** After an abort, for what lies on the device to be taken away; a service that stops has more time than that. */
export const tidyMs = 5_000;
