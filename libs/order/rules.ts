/**
 * Which rules the machine executes, as a number that a replica tells in its status (SPEC.md, Rules): each includes
 * those below it. It is raised with every change by which a machine of before would decide something otherwise; such a
 * replica would part from the others and stop. So whoever is about to append what needs new rules asks every
 * replica first. 0: of before there was this number.
 */
export const ORDER_RULES = 1;

/** The first with which an instance can be retired. */
export const RETIREMENT_RULES = 1;
