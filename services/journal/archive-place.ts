/** Settings of the place where an archive is, as replicas and janitors are given it. */
import { z } from 'zod';
import { urlProblem } from '../../libs/archive/open-store.ts';

export const placeUrl = z.string().superRefine((url, context) => {
  const problem = urlProblem(url);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

/** Beside the url. */
export const placeSettings = {
  region: z.string().min(1).optional().describe('region of the bucket; AWS_REGION by default'),
  endpoint: z.url().optional().describe('server of a bucket that is not at AWS'),
  pathStyle: z.boolean().default(false).describe('the bucket in the path, not in the host name'),
  keysFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'file of keys (id and 32 bytes in base64url a line, mode 0600) with the first of which objects are sealed; not at all by default',
    ),
};
