/*
 * A trace of the simulation as a behaviour of this specification (traces.ts): what a replica of the
 * real core wrote, synced and claimed is done here in the same order, one lane at a time, from empty
 * disks. Which promises a preparer counted, and when, the trace does not tell; the checker finds it.
 * The trace is accepted if any behaviour leads to its end.
 */
#define PREPARES 1
#define PROMISES 2
#define KEEPS 3
#define TAKES 4
#define MARKS 5
#define STAMPS 6
#define SYNCS 7
#define TRUNCATES 8
#define RESTARTS 9
#define CLAIMS 10

#if TRACE
#define EVENTS_MAX 4000
hidden byte kindOf[EVENTS_MAX];
hidden byte whoOf[EVENTS_MAX];
hidden byte whatOf[EVENTS_MAX];
hidden byte epochOf[EVENTS_MAX];
hidden short events;
short place;

c_decl {
  static int furthest;
  static void tell(void) { printf("furthest event: %d\n", furthest); }
}

#define IS(kind, number) (kindOf[place] == kind && whoOf[place] == r && whatOf[place] == (number))
#define TAKES_NEXT (kindOf[place] == TAKES && whoOf[place] == r)
#define REACHED c_code { if (now.place > furthest) furthest = now.place; }
#define PASSED place++; REACHED
/* Another entry than the trace shows: nothing follows. */
#define TOOK place = ((ME.index == whatOf[place] && ME.epoch == epochOf[place]) -> place + 1 : EVENTS_MAX - 1); \
  c_code { if (now.place > furthest && now.place < EVENTS_MAX - 1) furthest = now.place; }
#define FEWER(count) skip

#define LOAD c_code { \
  FILE *file = fopen(getenv("MODEL_TRACE"), "r"); \
  int kind, who, what, epoch, count = 0; \
  if (file == 0) { printf("no trace\n"); exit(2); } \
  while (count < EVENTS_MAX - 1 && fscanf(file, "%d %d %d %d", &kind, &who, &what, &epoch) == 4) { \
    kindOf[count] = kind; whoOf[count] = who; whatOf[count] = what; epochOf[count] = epoch; \
    count++; \
  } \
  fclose(file); \
  events = count; \
  atexit(tell); \
}
#else
#define IS(kind, number) true
#define TAKES_NEXT true
#define PASSED skip
#define TOOK skip
#define FEWER(count) count--
#endif
