/**
 * The rules of the protocol that can be switched off, one at a time, to prove that the checks
 * notice. Production passes none; each switch stands in the code where the rule is upheld.
 */
export const RULES = [
  {
    id: 'L1-old-epoch',
    rule: 'L1',
    what: 'an entry of an old epoch commits by its own copies, without the new marker',
  },
  { id: 'L1-one-copy', rule: 'L1', what: 'one synced copy commits' },
  { id: 'L1-count-twice', rule: 'L1', what: "one peer's copy is counted twice" },
  {
    id: 'L2-writer-assumed',
    rule: 'L2',
    what: 'a follower takes what the writer sent for synced by the writer',
  },
  {
    id: 'L3-release-unsynced',
    rule: 'L3',
    what: 'a replica releases what it does not hold synced',
  },
  { id: 'L4-ack-unsynced', rule: 'L4', what: 'a status claims entries that are not on disk yet' },
  { id: 'L4-promise-unsynced', rule: 'L4', what: 'a promise leaves before it is on disk' },
  { id: 'L4-promise-volatile', rule: 'L4', what: 'promises are never written' },
  { id: 'L5-sealer-appends', rule: 'L5', what: 'a sealer adds its own records to the sealed lane' },
  {
    id: 'L6-refuse-on-seal',
    rule: 'L6',
    what: 'a home whose lane was sealed tells its clients that their appends failed',
  },
  {
    id: 'L6-append-again',
    rule: 'L6',
    what: 'a home appends again what stands in the adopted tail',
  },
  { id: 'L7-no-asking', rule: 'L7', what: 'a replica seals without asking the others' },
  {
    id: 'slow-is-heard',
    rule: 'P5',
    what: 'a link that is too slow is used as long as it is not silent',
  },
  { id: 'L8-old-clock', rule: 'L8', what: 'a new writer ignores the clocks in the promises' },
  {
    id: 'T1-no-reservation',
    rule: 'T1',
    what: 'timestamps are used without a reservation on disk',
  },
  {
    id: 'T2-marker-behind',
    rule: 'T2',
    what: 'a new writer stamps its marker without looking at the adopted tail',
  },
  {
    id: 'O1-uncommitted',
    rule: 'O1',
    what: 'a closed timestamp counts although entries below it are not committed',
  },
  {
    id: 'O1-unsynced',
    rule: 'O1',
    what: 'a closed timestamp counts before the log up to its index is here',
  },
  {
    id: 'O2-keep-closed',
    rule: 'O2',
    what: 'a closed timestamp outlives the history it was announced over',
  },
  {
    id: 'O3-one-knows',
    rule: 'O3',
    what: "a sealer's closed timestamp counts although nobody else knows it",
  },
  { id: 'O4-maximum', rule: 'O4', what: 'the watermark is the maximum over the lanes' },
  {
    id: 'O5-close-ahead',
    rule: 'O5',
    what: 'a writer closes ahead of its clock and stamps below it',
  },
  {
    id: 'fence-off',
    rule: 'L-fence',
    what: 'a follower accepts entries of a lower epoch than it promised',
  },
  {
    id: 'adopt-shorter',
    rule: 'L-adopt',
    what: 'a new writer keeps its own tail although a promise showed a higher one',
  },
  { id: 'heartbeat-alone', rule: 'heartbeat', what: 'a heartbeat is answered without a peer' },
  {
    id: 'heartbeat-reused',
    rule: 'heartbeat',
    what: 'a heartbeat joins a round that began before it',
  },
  {
    id: 'recover-one',
    rule: 'membership',
    what: 'a replica that lost its disk recovers from one peer',
  },
  { id: 'recover-votes', rule: 'membership', what: 'a replica that lost its disk votes at once' },
  {
    id: 'recover-old-facts',
    rule: 'membership',
    what: 'acknowledgements of the lost disk still count',
  },
  {
    id: 'rollback-believed',
    rule: 'membership',
    what: 'a replica whose directory was put back from an older copy is believed',
  },
  {
    id: 'M6-last-life',
    rule: 'membership',
    what: 'a life is judged by the one just before it, heard or not',
  },
  {
    id: 'unconfirmed-acts',
    rule: 'membership',
    what: 'a replica that starts takes part before a peer has found it to be who it was',
  },
] as const;

export type RuleId = (typeof RULES)[number]['id'];
