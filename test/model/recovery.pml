/*
 * A lost disk (design §3, Membership; SPEC.md §7). The replica asks both others, twice: the second
 * answers count, given after both have written that what the lost disk stated is void.
 */
inline loseDisk() {
  restart();
  lost = r + 1;
  lostEver = 1;
  k = 1;
  do
  :: k <= EPOCHS ->
    lostAccepted[k] = accepted[r].at[k];
    lostKnew[k] = knew[r].at[k];
    accepted[r].at[k] = 0;
    knew[r].at[k] = 0;
    k++
  :: else -> break
  od;
  k = 0;
  ME.promised = 0; ME.kept = 0; ME.clock = 0;
  ME.epoch = 0; ME.index = 0; ME.diskEpoch = 0; ME.diskIndex = 0;
  ME.voting = OFF(RECOVER_VOTES)
}

inline noteLoss() {
  forgot = forgot | BIT(r);
  if /* What nobody counts any more is no state. */
  :: (forgot | BIT(lost - 1)) == 7 && !OFF(RECOVER_OLD_FACTS) ->
    k = 1;
    do
    :: k <= EPOCHS -> lostAccepted[k] = 0; lostKnew[k] = 0; k++
    :: else -> break
    od;
    k = 0
  :: else
  fi
}

/* Higher of the answers' promises, tails and clocks. */
inline answerRecovery() {
  answered = answered | BIT(r);
  bestPromise = MAX(bestPromise, ME.promised);
  bestClock = MAX(bestClock, ME.clock);
  /* The word r goes by was said by the lost replica, perhaps: it must know it again. */
  bestClock = (OFF(RECOVER_OLD_WORDS) -> bestClock : MAX(bestClock, ME.wordClosed));
  agree(ME.epoch, ME.index, ME.diskEpoch, ME.diskIndex);
  if
  :: HIGHER(log[ME.epoch].epoch[k], k, bestEpoch, bestIndex) ->
    bestEpoch = log[ME.epoch].epoch[k]; bestIndex = k
  :: else
  fi;
  k = 0
}

inline forgetAnswers() {
  answered = 0; bestPromise = 0; bestClock = 0; bestEpoch = 0; bestIndex = 0; copying = 0
}

inline vote() {
  k = 1;
  do
  :: k <= EPOCHS -> log[k].gone = (ORDER && log[k].writer == r + 1); k++
  :: else -> break
  od;
  k = 0;
  ME.voting = 1;
  lost = 0; forgot = 0;
  forgetAnswers();
  state()
}

#if PROMPT
#define KEPT_AT_ONCE ME.kept = ME.promised
#else
#define KEPT_AT_ONCE skip
#endif

#define BOTH (7 - BIT(lost - 1))
#define ENOUGH (answered == BOTH || (answered != 0 && OFF(RECOVER_ONE)))

#define COPY(q) \
  :: d_step { copying && lost == r + 1 && HIGHER(bestEpoch, bestIndex, ME.epoch, ME.index) && \
       !CONTAINS(ME.epoch, ME.index, R[q].epoch, R[q].index) -> \
       agree(ME.epoch, ME.index, R[q].epoch, R[q].index); \
       ME.promised = MAX(ME.promised, log[R[q].epoch].epoch[k + 1]); KEPT_AT_ONCE; \
       SAY("r%d copies %d\n", q); t = R[q].epoch; take(t); t = 0 }

#define RECOVERY \
  :: d_step { wipes > 0 && lost == 0 && ME.voting && !healed -> SAY("r%d loses %d\n", 0); wipes--; loseDisk() } \
  :: d_step { lost != 0 && lost != r + 1 && !(forgot & BIT(r)) && ME.voting -> SAY("r%d notes %d\n", 0); noteLoss() } \
  :: d_step { lost != 0 && lost != r + 1 && ME.voting && !copying && !(answered & BIT(r)) && \
       ((forgot & BOTH) == BOTH || (OFF(RECOVER_ASKED_ONCE) && (forgot & BIT(r))) || \
         (OFF(RECOVER_ONE) && (forgot & BIT(r)))) -> \
       SAY("r%d answers %d\n", 0); answerRecovery() } \
  :: d_step { lost == r + 1 && !ME.voting && !copying && ENOUGH -> \
       SAY("r%d plans %d\n", 0); copying = 1; \
       ME.promised = MAX(ME.promised, bestPromise); KEPT_AT_ONCE; CLOCK_IS(MAX(ME.clock, bestClock)) } \
  COPY(NEXT) \
  COPY(AFTER) \
  :: d_step { copying && lost == r + 1 && !HIGHER(bestEpoch, bestIndex, ME.epoch, ME.index) && \
       SETTLED(r) -> SAY("r%d votes %d\n", 0); vote() }
