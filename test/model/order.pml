/*
 * Order (design §5) and heartbeats (§8). The other two lanes close all the time: by their homes, or
 * sealed, when two replicas know the word (O3). Either way two of the three clocks have passed it.
 */
#define OTHER_LANES SECOND(R[0].clock, R[1].clock, R[2].clock)

/* What q knows of epoch e. Who has not heard of the loss still goes by what the lost disk stated. */
inline learnKnown(q, e) {
  known[q] = KNOWN(q, e);
  known[q] = (lost == q + 1 && !(forgot & BIT(r)) && lostKnew[e] > known[q] -> lostKnew[e] : known[q])
}

/*
 * r resolves the lane as far as it can and releases up to the watermark. That all replicas release
 * the same is checked from both sides: here, that nothing committed at or below is missing; when
 * something commits, that nobody has been past it.
 */
inline release() {
  ME.unseen = 0;
  agree(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex);
  m = k; /* synced */
  k = (OFF(L3_RELEASE_UNSYNCED) -> ME.index : k);
  a = 0; /* final: committed, and synced here (L3) */
  do
  :: a < k && chosen[a + 1] != 0 && chosen[a + 1] == log[ME.epoch].epoch[a + 1] -> a++
  :: else -> break
  od;
  b = 0;
  c = 0;
  x = 0;
  if
  :: ME.role == WRITING -> x = ME.promised; c = SAID(x, ME.index); k = ME.index
  :: else -> x = ME.wordEpoch; c = ME.wordClosed; k = ME.wordIndex
  fi;
  if
  :: x != 0 && (x == ME.epoch || OFF(O2_KEEP_CLOSED)) ->
    if
    :: SEALED(x) && a < k && !OFF(O3_MARKER_PENDING) -> c = 0
    :: SEALED(x) && !OFF(O3_ONE_KNOWS) ->
      learnKnown(0, x);
      learnKnown(1, x);
      learnKnown(2, x);
      known[0] = SECOND(known[0], known[1], known[2]);
      c = MIN(c, known[0])
    :: else
    fi;
    if /* O1 */
    :: a >= k || OFF(O1_UNSYNCED) -> b = c
    :: else ->
      if
      :: a >= ME.index -> b = 0
      :: OFF(O1_UNCOMMITTED) -> b = c
      :: else -> b = MIN(c, log[ME.epoch].stamp[a + 1] - 1)
      fi
    fi
  :: else
  fi;
  b = (OFF(O5_ABOVE_CLOCK) -> b : MIN(b, ME.clock));
  b = MAX(b, log[ME.epoch].stamp[a]);
  x = OTHER_LANES;
  b = (OFF(O4_MAXIMUM) -> MAX(b, x) : MIN(b, x));
  c = 1;
  do /* P2: what r releases up to b is all there is */
  :: c <= ENTRIES && chosen[c] != 0 ->
    assert(c <= a || log[chosen[c]].stamp[c] > b || log[chosen[c]].record[c] == 0);
    assert(c > a || c <= m || log[chosen[c]].stamp[c] > b); /* L3: it holds what it shows */
    c++
  :: else -> break
  od;
  released = MAX(released, b);
  k = 0; m = 0; a = 0; b = 0; c = 0; x = 0
}

/* Highest timestamp on q's disk. */
inline persistedOf(q) {
  agree(R[q].epoch, R[q].index, R[q].diskEpoch, R[q].diskIndex);
  a = log[R[q].epoch].stamp[k];
  k = 0
}

inline ask() {
  asker = r + 1;
  k = 1;
  do
  :: k <= ENTRIES && chosen[k] != 0 ->
    floor = (log[chosen[k]].record[k] -> log[chosen[k]].stamp[k] : floor);
    k++
  :: else -> break
  od;
  k = 0
}

inline finish() {
  persistedOf(r);
  assert(MAX(a, (answer -> answer - 1 : 0)) >= floor); /* the read point is not stale */
  a = 0; asker = 0; floor = 0; answer = 0
}

#define HEARTBEAT \
  :: d_step { beats > 0 && ME.voting && (asker == 0 || (asker == r + 1 && OFF(HEARTBEAT_REUSED))) -> \
       SAY("r%d asks %d\n", 0); beats--; ask() } \
  :: d_step { asker != 0 && asker != r + 1 && answer == 0 && ME.voting -> \
       SAY("r%d answers %d\n", 0); persistedOf(r); answer = a + 1; a = 0 } \
  :: d_step { asker == r + 1 && ME.voting && (answer != 0 || OFF(HEARTBEAT_ALONE)) -> SAY("r%d finishes %d\n", 0); finish() }
