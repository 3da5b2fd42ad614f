/*
 * The rules that can be switched off, one at a time (rules.ts gives each its story), and the choices
 * that the scope makes possible.
 */
#define L1_OLD_EPOCH 1
#define L1_ONE_COPY 2
#define L2_WRITER_ASSUMED 3
#define L3_RELEASE_UNSYNCED 4
#define L4_ACK_UNSYNCED 5
#define L4_PROMISE_UNSYNCED 6
#define L4_PROMISE_VOLATILE 7
#define L5_SEALER_APPENDS 8
#define L6_REFUSE 9
#define L6_APPEND_AGAIN 10
#define L6_NO_REOPENING 11
#define L8_OLD_CLOCK 12
#define T1_NO_RESERVATION 13
#define T2_MARKER_BEHIND 14
#define O1_UNCOMMITTED 15
#define O1_UNSYNCED 16
#define O2_KEEP_CLOSED 17
#define O3_MARKER_PENDING 18
#define O3_ONE_KNOWS 19
#define O3_KNOWS_LATE 20
#define O4_MAXIMUM 21
#define O5_CLOSE_AHEAD 22
#define O5_ABOVE_CLOCK 23
#define FENCE_OFF 24
#define ADOPT_SHORTER 25
#define HEARTBEAT_ALONE 26
#define HEARTBEAT_REUSED 27
#define RECOVER_ONE 28
#define RECOVER_VOTES 29
#define RECOVER_OLD_FACTS 30
#define RECOVER_ASKED_ONCE 31
#define RECOVER_OLD_WORDS 32

/* Scope: sizes come from the command line of the compiler. */
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef ENTRIES
#define ENTRIES 4
#endif
#ifndef CLOCKS
#define CLOCKS 5
#endif
/* With clocks, words and release; without, timestamps are just numbers. */
#ifndef ORDER
#define ORDER 1
#endif
/* Every write is on disk at once. */
#ifndef PROMPT
#define PROMPT 0
#endif
/* Epochs, entries and timestamps that only a healed system may use (liveness). */
#ifndef SPARE
#define SPARE 0
#endif
#ifndef SPARE_ENTRIES
#define SPARE_ENTRIES 0
#endif
/* Follows a trace of the simulation. */
#ifndef TRACE
#define TRACE 0
#endif
#define ROOM (healed -> 0 : SPARE_ENTRIES)

#if ENTRIES == 3
#define EACH_INDEX(A, e) A(e, 1) A(e, 2) A(e, 3)
#elif ENTRIES == 4
#define EACH_INDEX(A, e) A(e, 1) A(e, 2) A(e, 3) A(e, 4)
#elif ENTRIES == 5
#define EACH_INDEX(A, e) A(e, 1) A(e, 2) A(e, 3) A(e, 4) A(e, 5)
#else
#define EACH_INDEX(A, e) A(e, 1) A(e, 2) A(e, 3) A(e, 4) A(e, 5) A(e, 6)
#endif
