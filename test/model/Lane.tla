------------------------------- MODULE Lane -------------------------------
(***************************************************************************)
(* One lane of the journal, for readers: who writes it, what is committed, *)
(* how the writer changes. It says what lane.pml says without clocks       *)
(* (ORDER=0) and lost disks. NOT CHECKED HERE: no TLA+ tool runs in this   *)
(* repository. lane.pml is what is explored, and what traces of the        *)
(* simulation are held against; where the two differ, lane.pml is right.   *)
(*                                                                         *)
(* Messages are history: what was said is true for ever, and may be read   *)
(* at any time or never. That is every loss, delay and repetition at once. *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS Replicas, Home, Records, EpochMax

ASSUME Cardinality(Replicas) = 3 /\ Home \in Replicas

Epochs == 1..EpochMax
None == "none"
Marker == "marker"

VARIABLES
  writer,     \* writer[e]: the replica that prepared epoch e, or None
  history,    \* history[e]: the longest log that e's writer has had in e
  promised,   \* promised[r]: in memory; no lower epoch is followed
  kept,       \* kept[r]: the promise on disk
  role,       \* role[r]: follower, preparing, adopting, marking, writing
  target,     \* target[r]: the log that is adopted
  log,        \* log[r]: in memory, a sequence of [epoch, record]
  disk,       \* disk[r]: what of it is synced
  stated,     \* stated[r][e]: highest index r has stated as synced in e
  chosen,     \* what is committed, for ever: a sequence of entries
  queue       \* records the home's clients wait for

vars == <<writer, history, promised, kept, role, target, log, disk, stated, chosen, queue>>

EpochOf(l) == IF l = <<>> THEN 0 ELSE l[Len(l)].epoch
Prefix(l, i) == SubSeq(l, 1, i)
IsPrefix(a, b) == Len(a) <= Len(b) /\ a = Prefix(b, Len(a))
Min(a, b) == IF a < b THEN a ELSE b
\* How far two logs agree. Logs that agree on an entry agree on all before it.
Agreement(a, b) ==
  CHOOSE i \in 0..Min(Len(a), Len(b)) :
    /\ Prefix(a, i) = Prefix(b, i)
    /\ \A j \in (i + 1)..Min(Len(a), Len(b)) : a[j] # b[j]
\* The better of two tails: the higher (last epoch, last index).
Higher(a, b) ==
  EpochOf(a) > EpochOf(b) \/ (EpochOf(a) = EpochOf(b) /\ Len(a) > Len(b))
\* Nothing is under way to the disk of r.
Settled(r) == log[r] = disk[r] /\ promised[r] = kept[r]

Init ==
  /\ writer = [e \in Epochs |-> None]
  /\ history = [e \in Epochs |-> <<>>]
  /\ promised = [r \in Replicas |-> 0]
  /\ kept = [r \in Replicas |-> 0]
  /\ role = [r \in Replicas |-> "follower"]
  /\ target = [r \in Replicas |-> <<>>]
  /\ log = [r \in Replicas |-> <<>>]
  /\ disk = [r \in Replicas |-> <<>>]
  /\ stated = [r \in Replicas |-> [e \in Epochs |-> 0]]
  /\ chosen = <<>>
  /\ queue = Records

-----------------------------------------------------------------------------
(* Changing the writer. The home opens its lane this way after a start or a
   seal (L6); any other replica seals it this way (L5), whenever it likes:
   that it first asks whether others hear the writer (L7) saves round trips
   and is not needed for safety. *)

Prepare(r, e) ==
  /\ writer[e] = None /\ e > promised[r] /\ Settled(r)
  /\ role[r] = "follower" \/ \E q \in Replicas : promised[q] > promised[r]
  /\ writer' = [writer EXCEPT ![e] = r]
  /\ promised' = [promised EXCEPT ![r] = e]
  /\ kept' = [kept EXCEPT ![r] = e]          \* L4: before anybody is asked
  /\ role' = [role EXCEPT ![r] = "preparing"]
  /\ UNCHANGED <<history, target, log, disk, stated, chosen, queue>>

\* Fencing: a higher epoch is promised wherever it is met.
Promise(r, e) ==
  /\ writer[e] # None /\ e > promised[r] /\ Settled(r)
  /\ promised' = [promised EXCEPT ![r] = e]
  /\ role' = [role EXCEPT ![r] = "follower"]
  /\ UNCHANGED <<writer, history, kept, target, log, disk, stated, chosen, queue>>

\* With a second promise, q's, the tail is decided: the better of the two.
CountPromise(r, q) ==
  /\ role[r] = "preparing" /\ q # r
  /\ promised[q] = promised[r] /\ kept[q] = promised[r]    \* L4
  /\ IF Higher(log[q], log[r])
     THEN /\ role' = [role EXCEPT ![r] = "adopting"]
          /\ target' = [target EXCEPT ![r] = log[q]]
     ELSE /\ role' = [role EXCEPT ![r] = "marking"]
          /\ UNCHANGED target
  /\ UNCHANGED <<writer, history, promised, kept, log, disk, stated, chosen, queue>>

\* r's log becomes the first i entries of l. L6: own records that fall out are
\* certainly aborted, and the home appends them again.
Take(r, l, i) ==
  /\ log' = [log EXCEPT ![r] = Prefix(l, i)]
  /\ queue' = IF r # Home THEN queue
              ELSE queue \cup ({log[r][j].record : j \in (Agreement(log[r], l) + 1)..Len(log[r])}
                                 \ {Marker})

Adopt(r) ==
  /\ role[r] = "adopting"
  /\ LET i == Agreement(log[r], target[r]) + 1 IN
       /\ i <= Len(target[r])
       /\ Take(r, target[r], i)
       /\ role' = IF i = Len(target[r]) THEN [role EXCEPT ![r] = "marking"] ELSE role
  /\ UNCHANGED <<writer, history, promised, kept, target, disk, stated, chosen>>

\* Nobody answers: any other promise will do.
Abandon(r) ==
  /\ role[r] = "adopting"
  /\ role' = [role EXCEPT ![r] = "preparing"]
  /\ UNCHANGED <<writer, history, promised, kept, target, log, disk, stated, chosen, queue>>

Write(r, what) ==
  LET l == Append(log[r], [epoch |-> promised[r], record |-> what]) IN
    /\ log' = [log EXCEPT ![r] = l]
    /\ history' = [history EXCEPT ![promised[r]] = l]

\* The adopted tail becomes the epoch's; it commits only with this marker (L1).
Mark(r) ==
  /\ role[r] = "marking"
  /\ Write(r, Marker)
  /\ role' = [role EXCEPT ![r] = "writing"]
  /\ UNCHANGED <<writer, promised, kept, target, disk, stated, chosen, queue>>

\* L5: only the home adds records.
Stamp(r) ==
  /\ role[r] = "writing" /\ r = Home
  /\ \E record \in queue :
       /\ Write(r, record)
       /\ queue' = queue \ {record}
  /\ UNCHANGED <<writer, promised, kept, role, target, disk, stated, chosen>>

-----------------------------------------------------------------------------
(* Following, and the disk. *)

Follow(r, e) ==
  /\ role[r] = "follower" /\ e = promised[r] /\ writer[e] # r
  /\ history[e] # <<>> /\ ~IsPrefix(history[e], log[r])
  /\ Take(r, history[e], Agreement(log[r], history[e]) + 1)
  /\ UNCHANGED <<writer, history, promised, kept, role, target, disk, stated, chosen>>

\* L1: an index is committed in e once two replicas have stated it in e; then
\* so is all before it, whatever its epoch.
Second(s, e) ==
  CHOOSE i \in 0..(Cardinality(Records) + 2 * EpochMax) :
    /\ Cardinality({r \in Replicas : s[r][e] >= i}) >= 2
    /\ Cardinality({r \in Replicas : s[r][e] >= i + 1}) < 2

\* L4: r states what is on its disk, for the epoch that it has promised on disk.
State(r, l, p) ==
  LET e == EpochOf(l)
      s == IF e # 0 /\ e = p /\ Len(l) > stated[r][e]
           THEN [stated EXCEPT ![r][e] = Len(l)] ELSE stated
      i == IF e = 0 THEN 0 ELSE Second(s, e)
  IN /\ stated' = s
     /\ chosen' = IF i > Len(chosen) THEN Prefix(history[e], i) ELSE chosen

Keep(r) ==
  /\ promised[r] > kept[r]
  /\ kept' = [kept EXCEPT ![r] = promised[r]]
  /\ State(r, disk[r], promised[r])
  /\ UNCHANGED <<writer, history, promised, role, target, log, disk, queue>>

Sync(r) ==
  /\ kept[r] = promised[r] /\ IsPrefix(disk[r], log[r]) /\ disk[r] # log[r]
  /\ disk' = [disk EXCEPT ![r] = Prefix(log[r], Len(disk[r]) + 1)]
  /\ State(r, Prefix(log[r], Len(disk[r]) + 1), kept[r])
  /\ UNCHANGED <<writer, history, promised, kept, role, target, log, queue>>

Truncate(r) ==
  /\ kept[r] = promised[r] /\ ~IsPrefix(disk[r], log[r])
  /\ disk' = [disk EXCEPT ![r] = Prefix(disk[r], Agreement(disk[r], log[r]))]
  /\ UNCHANGED <<writer, history, promised, kept, role, target, log, stated, chosen, queue>>

Restart(r) ==
  /\ log' = [log EXCEPT ![r] = disk[r]]
  /\ promised' = [promised EXCEPT ![r] = kept[r]]
  /\ role' = [role EXCEPT ![r] = "follower"]
  /\ UNCHANGED <<writer, history, kept, target, disk, stated, chosen, queue>>

-----------------------------------------------------------------------------
Next ==
  \E r \in Replicas :
    \/ \E e \in Epochs : Prepare(r, e) \/ Promise(r, e) \/ Follow(r, e)
    \/ \E q \in Replicas : CountPromise(r, q)
    \/ Adopt(r) \/ Abandon(r) \/ Mark(r) \/ Stamp(r)
    \/ Keep(r) \/ Sync(r) \/ Truncate(r) \/ Restart(r)

Spec == Init /\ [][Next]_vars

\* P2: what is committed stays, and only grows.
Agreed == [][IsPrefix(chosen, chosen')]_vars
\* P1: what is committed is on two disks.
Durable ==
  \E p, q \in Replicas : p # q /\ IsPrefix(chosen, disk[p]) /\ IsPrefix(chosen, disk[q])
\* P6: a record commits once.
Once ==
  \A i, j \in 1..Len(chosen) :
    i # j /\ chosen[i].record # Marker => chosen[i].record # chosen[j].record
=============================================================================
