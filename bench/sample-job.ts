/** A job as people have them: one container, some variables, limits. */
export const SAMPLE_JOB = {
  labels: { team: 'data', stage: 'production' },
  template: {
    taskCount: 10,
    parallelism: 4,
    template: {
      maxRetries: 2,
      timeout: '900s',
      containers: [
        {
          image: 'us-docker.pkg.dev/cloudrun/container/job:latest',
          args: ['--date', 'today'],
          env: Array.from({ length: 8 }, (_, i) => ({ name: `SETTING_${i}`, value: `value of setting ${i}` })),
          resources: { limits: { cpu: '1000m', memory: '512Mi' } },
        },
      ],
    },
  },
};
