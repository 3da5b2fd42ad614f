/** The stories of the sidecars with the Postgres of this machine. */
import { findPrograms } from '../../libs/postgres/programs.ts';
import { tellStories } from './stories.ts';

tellStories(findPrograms());
