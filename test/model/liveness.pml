/*
 * Liveness: whatever happened before, once the faults end and nobody takes the home for silent (L7),
 * the home writes again, everything its clients asked for is committed, all replicas hold the same
 * log, and it is released. Weak fairness for every process.
 */
#include "lane.pml"

#define TAIL log[R[HOME].epoch].stamp[R[HOME].index]
#define SAME(q) (R[q].voting && R[q].diskEpoch == R[HOME].epoch && R[q].diskIndex == R[HOME].index)
#define DONE (R[HOME].role == WRITING && queue == 0 && SAME(0) && SAME(1) && SAME(2) && \
  chosen[R[HOME].index] == R[HOME].epoch && (!ORDER || released >= TAIL))

ltl progress { [] (healed -> <> DONE) }
