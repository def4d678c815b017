"""Rules for templates that AWS takes and that then fail, cost or leak: what neither cdk-nag nor cfn-lint looks at."""
