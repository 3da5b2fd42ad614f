/*
 * The log of a replica: commitment from facts (L1), what is stated of it (L4), entries taken from
 * another's, what an announced word has to do with it (O2, O3).
 */
/* P2: entries 1..k of epoch e's log are committed; nobody may ever have taken others for it. */
inline commit(e) {
  m = 1;
  do
  :: m <= k ->
    assert(chosen[m] == 0 || chosen[m] == log[e].epoch[m]); /* agreement */
    if
    :: chosen[m] == 0 ->
      chosen[m] = log[e].epoch[m];
      if
      :: log[e].record[m] ->
        assert(log[e].stamp[m] > released); /* O5: nothing appears behind a watermark */
        assert(!(refused & BIT(log[e].record[m]))); /* P6 */
        x = 1;
        do
        :: x < m -> assert(log[e].record[x] != log[e].record[m]); x++ /* once */
        :: else -> break
        od;
        x = 0
      :: else
      fi
    :: else
    fi;
    m++
  :: else -> break
  od;
  m = 0
}

/* L1: what two replicas have stated for the epoch, plus what some who have not heard of the loss still count. */
inline conclude(e) {
  k = SECOND(accepted[0].at[e], accepted[1].at[e], accepted[2].at[e]);
  if
  :: OFF(L1_ONE_COPY) -> k = HIGHEST(accepted[0].at[e], accepted[1].at[e], accepted[2].at[e])
  :: lost && lostAccepted[e] ->
    x = 0;
    do
    :: x < 3 ->
      if
      :: x != lost - 1 && (!(forgot & BIT(x)) || OFF(RECOVER_OLD_FACTS)) && R[x].epoch == e ->
        c = HIGHEST(accepted[lost % 3].at[e], accepted[(lost + 1) % 3].at[e], 0);
        c = MIN(MIN(c, lostAccepted[e]), R[x].index);
        k = MAX(k, c)
      :: else
      fi;
      x++
    :: else -> break
    od;
    x = 0;
    c = 0
  :: else
  fi;
  commit(e)
}

/* r states its synced tail; it speaks for the epoch it has promised, on disk (L1, L4). */
inline state() {
  agree(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex);
  if
  :: OFF(L4_ACK_UNSYNCED) -> k = ME.index
  :: else
  fi;
  a = k;
  b = log[ME.epoch].epoch[k];
  if
  :: ME.voting && b != 0 && (b == ME.kept || OFF(L1_OLD_EPOCH)) && accepted[r].at[b] < a ->
    accepted[r].at[b] = a;
    if
    :: OFF(L2_WRITER_ASSUMED) && log[b].writer != r + 1 ->
      accepted[log[b].writer - 1].at[b] = MAX(a, accepted[log[b].writer - 1].at[b])
    :: else
    fi;
    conclude(b)
  :: ME.voting && lost && lostAccepted[ME.epoch] -> b = ME.epoch; conclude(b)
  :: else
  fi;
  k = 0; a = 0; b = 0
}

/* What r stated of a sealer's closed timestamps stays known when it moves on or dies. */
inline freezeKnown() {
  if
  :: ME.wordEpoch != 0 && SPEAKS(r, ME.wordEpoch) && SEALED(ME.wordEpoch) ->
    knew[r].at[ME.wordEpoch] = KNOWN(r, ME.wordEpoch)
  :: else
  fi
}

/* The promise is on disk; with the clock of now it may be answered. */
inline becomeKept() {
  freezeKnown();
  ME.kept = ME.promised;
  b = log[ME.kept].writer;
  ME.promisedClock = (b != r + 1 && R[b - 1].promised == ME.kept && R[b - 1].role != WRITING -> ME.clock : 0);
  b = 0
}

/* A log has grown in memory. */
inline written() {
#if PROMPT
  ME.diskEpoch = ME.epoch; ME.diskIndex = ME.index;
  state()
#else
  if
  :: OFF(L4_ACK_UNSYNCED) -> state()
  :: else
  fi
#endif
}

/* r's log takes entry k + 1 of epoch e's log, whatever stood there. */
inline take(e) {
  m = k + 1;
  do
  :: m <= ME.index ->
    /* P1: nothing committed is removed. (Where a disk was lost, a third copy may be: README.md.) */
    assert(lostEver || chosen[m] != log[ME.epoch].epoch[m]);
    a = log[ME.epoch].record[m];
    if
    :: r == HOME && a && (inflight & BIT(a)) ->
      inflight = inflight & ~BIT(a);
      queue = queue | BIT(a)
    :: else
    fi;
    m++
  :: else -> break
  od;
  m = 0;
  a = 0;
  k++;
  if /* O2 */
  :: ME.index >= k && ME.wordEpoch != 0 && ME.wordIndex >= k && !OFF(O2_KEEP_CLOSED) ->
    freezeKnown();
    ME.wordEpoch = 0; ME.wordClosed = 0; ME.wordIndex = 0
  :: else
  fi;
  ME.epoch = log[e].epoch[k];
  ME.index = k;
  if
  :: OFF(T2_MARKER_BEHIND)
  :: else -> CLOCK_IS(MAX(ME.clock, log[e].stamp[k]))
  fi;
  written();
  k = 0
}
