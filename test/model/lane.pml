/*
 * One lane of the journal as libs/lane/SPEC.md and design §3–§5 describe it, for Spin. What is in
 * scope, what stands for what, and which rule has which switch: README.md beside this file.
 *
 * Messages are not modelled one by one. Statements, feeds, words and promises are history: true when
 * made, usable for ever. So a replica reads, at any time or never, anything that was ever said; that
 * is every loss, delay, repetition and order at once. Commitment is known to everybody as soon as
 * its facts are stated, which allows more than any replica may conclude, never less.
 *
 * A log is named by its last entry (epoch, index): two logs that agree on it agree on all before it.
 */
#define HOME 0

/* Roles. */
#define FOLLOWER 0
#define PREPARING 1
#define ADOPTING 2
#define MARKING 3
#define WRITING 4

#include "rules.pml"
#include "trace.pml"

/* A counterexample, told by `pan -r`. */
#if STORY
#define SAY(what, number) printf(what, r, number)
#else
#define SAY(what, number) skip
#endif

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define SECOND(a, b, c) MAX(MIN(a, b), MAX(MIN(a, c), MIN(b, c)))
#define HIGHEST(a, b, c) MAX(a, MAX(b, c))

typedef Log { /* of an epoch's writer: all it ever wrote, and what it adopted before */
  byte epoch[ENTRIES + 1];
  byte stamp[ENTRIES + 1];
  byte record[ENTRIES + 1]; /* 0: a marker */
  byte last;
  byte writer; /* replica + 1; 0: the epoch is free */
  bit gone;    /* its writer lost its disk, and nobody listens to that life any more */
  byte said;   /* highest closed timestamp said over `last`, once the writer has stopped */
}
Log log[EPOCHS + 1];

typedef Replica {
  bit voting;
  byte role;
  byte source;     /* whose tail is adopted, and which one that is */
  byte targetEpoch;
  byte targetIndex;
  byte promised;   /* in memory, and on disk */
  byte kept;
  byte epoch;      /* tail in memory */
  byte index;
  byte diskEpoch;  /* tail on disk */
  byte diskIndex;
  byte clock;      /* the ceiling: reserved on disk (T1) */
  byte promisedClock; /* when the promise came to be on disk: the earliest answer to its preparer */
  byte wordEpoch;  /* the writer's word this replica goes by */
  byte wordClosed;
  byte wordIndex;
  bit unseen;      /* once healed: something may have become final */
}
Replica R[3];

typedef PerEpoch { byte at[EPOCHS + 1] }
PerEpoch accepted[3]; /* facts: highest index of the epoch stated as synced (L1) */
PerEpoch knew[3];     /* highest closed timestamp of the epoch stated, until the replica moved on (O3) */

/* What the faults may still do. */
byte crashes;
byte wipes;
bit healed;

/* The home's clients. Records are bits. */
byte queue;   /* to be stamped */
byte inflight; /* stamped in this life */
byte stamped; /* ever */
byte refused; /* told that they certainly had no effect */

/* A disk was lost: by whom (+ 1), who has written so, and what was stated before. */
byte lost;
bit lostEver;
byte forgot;
byte lostAccepted[EPOCHS + 1];
byte lostKnew[EPOCHS + 1];
byte answered;
bit copying;
byte bestEpoch;
byte bestIndex;
byte bestPromise;
byte bestClock;

/* One heartbeat: of whom (+ 1), what it must see, the answer (+ 1). */
byte beats;
byte asker;
byte floor;
byte answer;

/* What the properties are about. */
byte chosen[ENTRIES + 1]; /* epoch of the committed entry */
byte released;            /* everything up to here was shown to somebody, as final */

byte off; /* the rule that is switched off */
#define OFF(rule) (off == rule)

hidden byte k;
hidden byte m;
hidden byte a;
hidden byte b;
hidden byte c;
hidden byte x;
hidden byte t;
hidden byte known[3];

#define ME R[r]
#define NEXT ((r + 1) % 3)
#define AFTER ((r + 2) % 3)
#define BIT(n) (1 << (n))
#define CONTAINS(e, i, e0, i0) ((i0) <= (i) && log[e].epoch[i0] == (e0))
#define HIGHER(e, i, e0, i0) ((e) > (e0) || ((e) == (e0) && (i) > (i0)))
#define SEALED(e) (log[e].writer != HOME + 1)
#define WRITES(q, e) (R[q].role == WRITING && R[q].promised == (e))
#define SYNCED_TO_TAIL(q) (R[q].epoch == R[q].diskEpoch && R[q].index == R[q].diskIndex)
/* Nothing is under way to the disk. A promise is on disk after all that was written before it, and
 * has no effect earlier: so nothing is lost by letting it wait in memory as well. */
#define SETTLED(q) (SYNCED_TO_TAIL(q) && R[q].kept == R[q].promised)
/* Highest closed timestamp the writer of e said over the log up to i. (O5: never ahead of its clock.) */
#define SAID(e, i) (((i) < log[e].last -> log[e].stamp[(i) + 1] - 1 : \
  (WRITES(log[e].writer - 1, e) -> R[log[e].writer - 1].clock : log[e].said)) + OFF(O5_CLOSE_AHEAD))
/* Of a sealer's closed timestamps, what q has stated to know; while its promise on disk is the epoch's. */
#define SPEAKS(q, e) (R[q].wordEpoch == (e) && (R[q].kept == (e) || OFF(O3_KNOWS_LATE)))
#define KNOWN(q, e) (WRITES(q, e) -> R[q].clock : MAX(knew[q].at[e], \
  (SPEAKS(q, e) -> MIN(R[q].wordClosed, R[q].clock) : 0)))

#if ORDER
#define CLOCK_IS(value) ME.clock = value
#else
#define CLOCK_IS(value) skip
#endif

/* T2, L8: above the log and above the clock. */
#define STAMP (MAX(ME.clock, (OFF(T2_MARKER_BEHIND) -> 0 : log[ME.epoch].stamp[ME.index])) + 1)

/* k: how far two logs agree. */
inline agree(e1, i1, e2, i2) {
  k = MIN(i1, i2);
  do
  :: k > 0 && log[e1].epoch[k] != log[e2].epoch[k] -> k--
  :: else -> break
  od
}

#include "log.pml"

inline forgetSource() {
  ME.source = 0; ME.targetEpoch = 0; ME.targetIndex = 0
}

/* Nobody asks for these answers any more. */
inline forgetPromises() {
  R[NEXT].promisedClock = (R[NEXT].kept == ME.promised -> 0 : R[NEXT].promisedClock);
  R[AFTER].promisedClock = (R[AFTER].kept == ME.promised -> 0 : R[AFTER].promisedClock)
}

/* r stops writing; its last word stays. */
inline stop() {
  if
  :: ORDER && ME.role == WRITING ->
    log[ME.promised].said = ME.clock;
    ME.wordEpoch = ME.promised;
    ME.wordClosed = ME.clock;
    ME.wordIndex = ME.index
  :: else
  fi;
  ME.role = FOLLOWER;
  forgetSource();
  if
  :: log[ME.promised].writer == r + 1 -> forgetPromises()
  :: else
  fi;
  if
  :: OFF(L6_REFUSE) && r == HOME -> refused = refused | inflight; inflight = 0
  :: else
  fi
}

inline news() { ME.unseen = healed }

inline raiseTo(e) { /* fencing: a higher epoch is promised wherever it is met */
  if
  :: e > ME.promised ->
    stop();
    ME.promised = e;
#if PROMPT
    becomeKept()
#endif
  :: else
  fi
}

/* The writer r puts one more entry into its log. */
inline stampEntry(what) {
  b = ME.promised;
  t = STAMP;
  assert(t > log[ME.epoch].stamp[ME.index]); /* T2 */
  m = 1;
  do
  :: ME.epoch != b && m <= ME.index -> /* the marker: the adopted log becomes the epoch's */
    log[b].epoch[m] = log[ME.epoch].epoch[m];
    log[b].stamp[m] = log[ME.epoch].stamp[m];
    log[b].record[m] = log[ME.epoch].record[m];
    m++
  :: else -> break
  od;
  m = 0;
  ME.epoch = b;
  ME.index++;
  log[b].epoch[ME.index] = b;
  log[b].stamp[ME.index] = t;
  log[b].record[ME.index] = what;
  log[b].last = ME.index;
  CLOCK_IS(t);
  t = 0;
  b = 0;
  written()
}

inline restart() {
  stop();
  freezeKnown();
  ME.promisedClock = 0;
  ME.wordEpoch = 0; ME.wordClosed = 0; ME.wordIndex = 0;
  ME.epoch = ME.diskEpoch;
  ME.index = ME.diskIndex;
  if
  :: OFF(L4_PROMISE_VOLATILE) -> ME.kept = ME.diskEpoch
  :: OFF(T1_NO_RESERVATION) -> ME.clock = log[ME.epoch].stamp[ME.index]
  :: else
  fi;
  ME.promised = ME.kept;
  if
  :: r == HOME -> inflight = 0; queue = queue & ~stamped /* its clients hear nothing; who asks again is told apart by its writer */
  :: else
  fi;
  if
  :: lost == r + 1 -> forgetAnswers()
  :: else
  fi;
  if
  :: asker == r + 1 -> asker = 0; floor = 0; answer = 0
  :: else
  fi
}

#include "order.pml"
#include "recovery.pml"

/* Once healed, L7 holds nobody silent, and the home takes an epoch above all it has seen. */
#define STEPS_DOWN (R[NEXT].promised > ME.promised || R[AFTER].promised > ME.promised)
#define MAY_PREPARE(e) (ME.voting && (ME.role == FOLLOWER || STEPS_DOWN) && (e) > ME.promised && log[e].writer == 0 && \
  (healed -> (r == HOME && e == EPOCHS && !OFF(L6_NO_REOPENING)) : e <= EPOCHS - SPARE))

#define COUNT_PROMISE(q) \
  :: d_step { ME.role == PREPARING && R[q].voting && R[q].promised == ME.promised && \
       (R[q].kept == ME.promised || OFF(L4_PROMISE_UNSYNCED)) -> \
       SAY("r%d counts %d\n", q); \
       CLOCK_IS((OFF(L8_OLD_CLOCK) -> ME.clock : MAX(ME.clock, (R[q].kept == ME.promised -> R[q].promisedClock : R[q].clock)))); \
       if \
       :: HIGHER(R[q].epoch, R[q].index, ME.epoch, ME.index) && !OFF(ADOPT_SHORTER) -> \
         ME.role = ADOPTING; ME.source = q; \
         ME.targetEpoch = R[q].epoch; ME.targetIndex = R[q].index \
       :: else -> ME.role = MARKING \
       fi }

#define HEAR(e, i) \
  :: d_step { ME.voting && e == ME.promised && i <= log[e].last && log[e].epoch[i] == e && \
       log[e].writer != r + 1 && !log[e].gone && \
       !(lost == log[e].writer && (forgot & BIT(r))) && (e > ME.wordEpoch || (e == ME.wordEpoch && SAID(e, i) > ME.wordClosed)) -> \
       SAY("r%d hears %d\n", i); \
       if \
       :: e > ME.wordEpoch -> freezeKnown() \
       :: else \
       fi; \
       ME.wordEpoch = e; ME.wordClosed = SAID(e, i); ME.wordIndex = i; news() }

/* What r does about one epoch. */
proctype within(byte r; byte e) {
  do
  :: d_step { MAY_PREPARE(e) && SETTLED(r) && IS(PREPARES, e) ->
       SAY("r%d prepares %d\n", e);
       PASSED;
       stop();
       ME.promised = e;
       log[e].writer = r + 1;
       becomeKept();
       ME.role = PREPARING }
  :: d_step { ME.voting && log[e].writer != 0 && e > ME.promised && SETTLED(r) && IS(PROMISES, e) ->
       SAY("r%d promises %d\n", e);
       PASSED;
       raiseTo(e) }
  :: d_step { ME.voting && ME.role == FOLLOWER && log[e].last > 0 && log[e].writer != r + 1 &&
       (e == ME.promised || (e > ME.promised && SETTLED(r)) || OFF(FENCE_OFF)) &&
       !CONTAINS(ME.epoch, ME.index, log[e].epoch[log[e].last], log[e].last) && TAKES_NEXT ->
       SAY("r%d follows %d\n", e);
       raiseTo(e);
       agree(ME.epoch, ME.index, e, log[e].last);
       take(e);
       TOOK;
       news() }
#if ORDER
  EACH_INDEX(HEAR, e)
#endif
  od
}

proctype replica(byte r) {
  do
  /* Changing the writer. */
  COUNT_PROMISE(NEXT)
  COUNT_PROMISE(AFTER)
  :: d_step { ME.role == ADOPTING && !CONTAINS(ME.epoch, ME.index, ME.targetEpoch, ME.targetIndex) &&
       TAKES_NEXT -> /* what the source has sent arrives, wherever the source is by now */
       SAY("r%d adopts from %d\n", ME.source);
       t = ME.targetEpoch;
       agree(ME.epoch, ME.index, t, ME.targetIndex);
       take(t);
       TOOK;
       t = 0;
       if
       :: ME.epoch == ME.targetEpoch && ME.index == ME.targetIndex -> ME.role = MARKING; forgetSource()
       :: else
       fi }
  :: d_step { ME.role == ADOPTING && (!healed || R[ME.source].promised != ME.promised) ->
       SAY("r%d abandons %d\n", ME.source); ME.role = PREPARING; forgetSource() } /* no answer: any other promise will do */
  :: d_step { ME.role == MARKING && ME.index < ENTRIES - ROOM && STAMP <= CLOCKS &&
       IS(MARKS, ME.index + 1) ->
       SAY("r%d marks %d\n", ME.promised);
       PASSED;
       stampEntry(0);
       ME.role = WRITING;
       forgetPromises();
       if
       :: OFF(L6_APPEND_AGAIN) && r == HOME -> queue = queue | inflight; inflight = 0
       :: else
       fi;
       news() }

  /* Records. L5: only the home adds any. */
  :: d_step { ME.role == WRITING && (r == HOME || OFF(L5_SEALER_APPENDS)) && queue != 0 &&
       ME.index < ENTRIES - ROOM && STAMP <= CLOCKS && IS(STAMPS, ME.index + 1) ->
       SAY("r%d stamps %d\n", queue);
       PASSED;
#if TRACE
       stampEntry(0); /* a record's name is not in the trace */
#else
       c = 1;
       do
       :: !(queue & BIT(c)) -> c++
       :: else -> break
       od;
       queue = queue & ~BIT(c);
       inflight = inflight | BIT(c);
       stamped = stamped | BIT(c);
       stampEntry(c);
       c = 0;
#endif
       news() }

#if !PROMPT
  /* The disk. Writes become durable in order; the rest is lost in a crash. */
  :: d_step { ME.promised > ME.kept && IS(KEEPS, ME.promised) ->
       SAY("r%d keeps %d\n", ME.promised);
       PASSED;
       becomeKept();
       state();
       news() }
  :: d_step { !SYNCED_TO_TAIL(r) && CONTAINS(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex) &&
       ME.kept == ME.promised && IS(SYNCS, ME.diskIndex + 1) ->
       SAY("r%d syncs %d\n", ME.diskIndex + 1);
       PASSED;
       ME.diskIndex++;
       ME.diskEpoch = log[ME.epoch].epoch[ME.diskIndex];
       state();
       news() }
  :: d_step { !CONTAINS(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex) && ME.kept == ME.promised &&
       IS(TRUNCATES, 0) ->
       PASSED;
       agree(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex);
       SAY("r%d truncates %d\n", k);
       ME.diskIndex = k;
       ME.diskEpoch = log[ME.epoch].epoch[k];
       k = 0 }
#endif

#if ORDER
  /* Time. T3: nothing is assumed of any clock. A writer's runs on; others matter when they merge. */
  :: d_step { ME.voting && ME.role == WRITING && ME.clock < CLOCKS - ROOM ->
       SAY("r%d ticks %d\n", ME.clock + 1); ME.clock++; news() }
  :: d_step { ME.voting && ME.clock < HIGHEST(R[0].clock, R[1].clock, R[2].clock) ->
       SAY("r%d merges %d\n", 0); ME.clock = HIGHEST(R[0].clock, R[1].clock, R[2].clock); news() }
  :: d_step { !healed || ME.unseen ->
       SAY("r%d releases %d\n", 0); release() }
#endif

  /* Faults. */
  :: d_step { crashes > 0 && !healed && IS(RESTARTS, 0) ->
       SAY("r%d restarts %d\n", 0); PASSED; FEWER(crashes); restart() }
  :: d_step { SPARE > 0 && !healed && lost == 0 -> healed = 1 }
  RECOVERY
  HEARTBEAT
  od
}

#if TRACE
/* L1: what a replica takes for committed is so. */
proctype claims() {
  do
  :: d_step { kindOf[place] == CLAIMS && chosen[whatOf[place]] == epochOf[place] -> PASSED }
  :: place == events -> assert(place < events) /* the end: accepted */
  od
}
#endif

/* Counts of faults and records come from the environment, so that one compiled checker serves all. */
c_code {
  int scopeOf(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text == 0 ? otherwise : atoi(text);
  }
}

init {
  atomic {
    c_code {
      now.off = scopeOf("MODEL_OFF", 0);
      now.crashes = scopeOf("MODEL_CRASHES", 0);
      now.wipes = scopeOf("MODEL_WIPES", 0);
      now.beats = scopeOf("MODEL_BEATS", 0);
      now.queue = scopeOf("MODEL_RECORDS", 6);
    };
#if TRACE
    LOAD;
    k = 0;
    do
    :: k < 3 -> R[k].voting = 1; k++
    :: else -> break
    od;
    k = 0;
    run claims();
#else
    /* The home has opened its lane; everybody has its marker. */
    log[1].writer = HOME + 1; log[1].last = 1; log[1].epoch[1] = 1; log[1].stamp[1] = 1;
    chosen[1] = 1;
    k = 0;
    do
    :: k < 3 ->
      R[k].voting = 1; R[k].promised = 1; R[k].kept = 1; R[k].clock = 1;
      R[k].epoch = 1; R[k].index = 1; R[k].diskEpoch = 1; R[k].diskIndex = 1;
      accepted[k].at[1] = 1;
      k++
    :: else -> break
    od;
    k = 0;
    R[HOME].role = WRITING;
#endif
    run replica(0); run replica(1); run replica(2);
    k = 1;
    do
    :: k <= EPOCHS -> run within(0, k); run within(1, k); run within(2, k); k++
    :: else -> break
    od;
    k = 0
  }
}
