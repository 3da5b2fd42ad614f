/** Help that belongs to no command. */

export interface Topic {
  readonly name: string;
  readonly summary: string;
  readonly text: string;
}

export const TOPICS: readonly Topic[] = [
  {
    name: 'endpoints',
    summary: 'how to say which journal is meant',
    text: `Which journal is meant

Of several sources the first that says something wins:

  1. options      --cluster --instance --replicas --region --deadline --tls-… --token-file
  2. --context    a context of the configuration file, by name; the environment then does not count
  3. environment  MERIDIAN_CLUSTER MERIDIAN_INSTANCE MERIDIAN_REPLICAS MERIDIAN_REGION
                  MERIDIAN_TLS_CA MERIDIAN_TLS_CERTIFICATE MERIDIAN_TLS_KEY MERIDIAN_TOKEN_FILE
  4. the context that MERIDIAN_CONTEXT names, else \`current\` of the configuration file, else its
     only one

The configuration file is --config, else MERIDIAN_CONFIG, else ~/.config/meridian/config.yaml:

  current: prod
  contexts:
    prod:
      cluster: prod
      instance: orders
      region: eu-central-1          # to prefer; optional
      deadline: 10s                 # optional
      replicas:
        eu-central-1: 10.0.1.10:7401
        eu-west-1: 10.0.2.10:7401
        eu-north-1: 10.0.3.10:7401
      tls:                          # without it, calls go in the clear
        ca: /etc/meridian/ca.pem
        certificate: /etc/meridian/client-web.pem
        key: /etc/meridian/client-web.key
      tokenFile: /etc/meridian/token  # instead of certificate and key
`,
  },
  {
    name: 'exit-codes',
    summary: 'what the exit codes mean',
    text: `Exit codes, the same for every command

A stream of records (tail, read --follow) and \`dev\` end with 0 when Ctrl-C ends them: that is their end.
With --output json an error is one line on standard error: {"error": {"reason", "message", "details",
"noEffect", "retry", "exitCode"}}.

`,
  },
];
