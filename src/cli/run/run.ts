/** The group `run`: jobs, their executions, tasks, logs and policies. A client of google.cloud.run.v2 and of Logging. */
import type { Command } from 'commander';
import { defineGroup, type Shell } from '../command.ts';
import { registerCheck } from './check.ts';
import { registerDeploy } from './deploy.ts';
import { registerExecute } from './execute.ts';
import { registerExecutions } from './executions.ts';
import { registerJobIam } from './job-iam.ts';
import { registerJobs } from './jobs.ts';
import { registerLogs } from './logs.ts';
import { registerReplace } from './replace.ts';

export function registerRun(program: Command, shell: Shell): void {
  const run = defineGroup(program, 'run', 'jobs, their executions, tasks, logs and policies');
  const jobs = defineGroup(run, 'jobs', 'jobs, their executions, tasks, logs and policies');
  registerDeploy(jobs, shell);
  registerCheck(jobs, shell);
  registerReplace(jobs, shell);
  registerExecute(jobs, shell);
  registerJobs(jobs, shell);
  registerExecutions(jobs, shell);
  registerLogs(jobs, shell);
  registerJobIam(jobs, shell);
}
