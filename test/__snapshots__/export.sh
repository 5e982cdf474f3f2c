#!/usr/bin/env bash
# Project demo, as `actas export --format=gcloud` wrote it. Run again, it changes nothing that is so already.
set -euo pipefail
NUMBER=$(gcloud projects describe demo --format='value(projectNumber)')

gcloud iam service-accounts describe hello-sa@demo.iam.gserviceaccount.com --project=demo >/dev/null 2>&1 ||
  gcloud iam service-accounts create hello-sa --project=demo --display-name='Says "hello" for ${money}' --description='it'\''s %{one}'

gcloud iam service-accounts describe idle-sa@demo.iam.gserviceaccount.com --project=demo >/dev/null 2>&1 ||
  gcloud iam service-accounts create idle-sa --project=demo
gcloud iam service-accounts disable idle-sa@demo.iam.gserviceaccount.com --project=demo

gcloud iam roles describe attach --project=demo >/dev/null 2>&1 ||
  gcloud iam roles create attach --project=demo --quiet --title=Attach --stage=GA --permissions=iam.serviceAccounts.actAs,run.jobs.run

gcloud resource-manager tags keys describe demo/own >/dev/null 2>&1 ||
  gcloud resource-manager tags keys create own --parent=projects/demo
gcloud resource-manager tags values describe demo/own/yes >/dev/null 2>&1 ||
  gcloud resource-manager tags values create yes --parent=demo/own

gcloud resource-manager tags bindings list --parent="//cloudresourcemanager.googleapis.com/projects/${NUMBER}" --effective --filter='NOT inherited:true' --format='value(namespacedTagValue)' | grep -xF -- 111111111111/env/prod >/dev/null 2>&1 ||
  gcloud resource-manager tags bindings create --tag-value=111111111111/env/prod --parent="//cloudresourcemanager.googleapis.com/projects/${NUMBER}"

gcloud resource-manager tags bindings list --parent="//cloudresourcemanager.googleapis.com/projects/${NUMBER}" --effective --filter='NOT inherited:true' --format='value(namespacedTagValue)' | grep -xF -- demo/own/yes >/dev/null 2>&1 ||
  gcloud resource-manager tags bindings create --tag-value=demo/own/yes --parent="//cloudresourcemanager.googleapis.com/projects/${NUMBER}"

gcloud iam workload-identity-pools describe ci-pool --location=global --project=demo >/dev/null 2>&1 ||
  gcloud iam workload-identity-pools create ci-pool --location=global --project=demo --display-name=CI
gcloud iam workload-identity-pools providers describe ci-oidc --location=global --project=demo --workload-identity-pool=ci-pool >/dev/null 2>&1 ||
  gcloud iam workload-identity-pools providers create-oidc ci-oidc --location=global --project=demo --workload-identity-pool=ci-pool --issuer-uri=https://issuer.example.com --attribute-mapping=attribute.repo=assertion.repo,google.subject=assertion.sub --attribute-condition='assertion.repo == "x"' --allowed-audiences=me

gcloud iam workload-identity-pools describe off-pool --location=global --project=demo >/dev/null 2>&1 ||
  gcloud iam workload-identity-pools create off-pool --location=global --project=demo --disabled

gcloud run jobs replace /dev/stdin --project=demo --region=us-central1 <<'YAML'
apiVersion: run.googleapis.com/v1
kind: Job
metadata:
  name: hello
  labels:
    team: x
    cloud.googleapis.com/location: us-central1
spec:
  template:
    metadata:
      annotations:
        run.googleapis.com/execution-environment: gen2
    spec:
      parallelism: 2
      taskCount: 3
      template:
        spec:
          containers:
            - image: local/image
              command:
                - sh
                - -c
              args:
                - |-
                  echo "${HOME}" %{x}
                  exit 0
              env:
                - name: GREETING
                  value: hi
              resources:
                limits:
                  cpu: "2"
                  memory: 1Gi
              volumeMounts:
                - name: scratch
                  mountPath: /scratch
          volumes:
            - name: scratch
              emptyDir:
                medium: Memory
                sizeLimit: 64Mi
          maxRetries: 0
          timeoutSeconds: "90"
          serviceAccountName: hello-sa@demo.iam.gserviceaccount.com
YAML

gcloud run jobs replace /dev/stdin --project=demo --region=us-central1 <<'YAML'
apiVersion: run.googleapis.com/v1
kind: Job
metadata:
  name: two
  labels:
    cloud.googleapis.com/location: us-central1
  annotations:
    example.com/note: x
spec:
  template:
    metadata:
      annotations:
        run.googleapis.com/container-dependencies: '{"main":["side"]}'
        run.googleapis.com/execution-environment: gen2
    spec:
      taskCount: 1
      template:
        spec:
          containers:
            - name: main
              image: local/image
              resources:
                limits:
                  cpu: 1000m
                  memory: 512Mi
              ports:
                - name: http1
                  containerPort: 8080
            - name: side
              image: local/side
              resources:
                limits:
                  cpu: 1000m
                  memory: 512Mi
              workingDir: /w
              startupProbe:
                timeoutSeconds: 1
                periodSeconds: 5
                failureThreshold: 3
                tcpSocket:
                  port: 9090
          maxRetries: 3
          timeoutSeconds: "600"
YAML

gcloud run jobs replace /dev/stdin --project=demo --region=us-east1 <<'YAML'
apiVersion: run.googleapis.com/v1
kind: Job
metadata:
  name: plain
  labels:
    cloud.googleapis.com/location: us-east1
spec:
  template:
    metadata:
      annotations:
        run.googleapis.com/execution-environment: gen2
    spec:
      taskCount: 1
      template:
        spec:
          containers:
            - image: local/image
              resources:
                limits:
                  cpu: 1000m
                  memory: 512Mi
          maxRetries: 3
          timeoutSeconds: "600"
YAML

gcloud projects add-iam-policy-binding demo --quiet --member=group:team@example.com --role=projects/demo/roles/attach --condition=None >/dev/null
gcloud projects add-iam-policy-binding demo --quiet --member=serviceAccount:hello-sa@demo.iam.gserviceaccount.com --role=roles/run.developer --condition=None >/dev/null
gcloud projects add-iam-policy-binding demo --quiet --member=user:dev@example.com --role=roles/run.developer --condition=None >/dev/null
gcloud projects add-iam-policy-binding demo --quiet --member=user:temp@example.com --role=roles/run.viewer --condition-from-file=/dev/stdin >/dev/null <<'YAML'
expression: request.time < timestamp("2100-01-01T00:00:00Z")
title: for a while
YAML

gcloud iam service-accounts add-iam-policy-binding hello-sa@demo.iam.gserviceaccount.com --project=demo --quiet --member=user:dev@example.com --role=roles/iam.serviceAccountUser --condition=None >/dev/null
gcloud iam service-accounts add-iam-policy-binding hello-sa@demo.iam.gserviceaccount.com --project=demo --quiet --member=principalSet://iam.googleapis.com/projects/"${NUMBER}"/locations/global/workloadIdentityPools/ci-pool/attribute.repo/octo/app --role=roles/iam.workloadIdentityUser --condition=None >/dev/null

gcloud run jobs add-iam-policy-binding hello --region=us-central1 --project=demo --quiet --member=user:dev@example.com --role=roles/run.invoker >/dev/null

gcloud iam policies get no-deletes --attachment-point=cloudresourcemanager.googleapis.com/projects/demo --kind=denypolicies >/dev/null 2>&1 ||
  gcloud iam policies create no-deletes --attachment-point=cloudresourcemanager.googleapis.com/projects/demo --kind=denypolicies --policy-file=/dev/stdin <<'JSON'
{
  "displayName": "No deletes",
  "rules": [
    {
      "description": "keep jobs",
      "denyRule": {
        "deniedPrincipals": [
          "principalSet://goog/public:all"
        ],
        "exceptionPrincipals": [
          "principal://goog/subject/owner@example.com"
        ],
        "deniedPermissions": [
          "run.googleapis.com/jobs.delete"
        ]
      }
    }
  ]
}
JSON

gcloud org-policies set-policy /dev/stdin <<'YAML'
name: projects/demo/policies/gcp.resourceLocations
spec:
  rules:
    - values:
        allowedValues:
          - in:us-locations
YAML

gcloud org-policies set-policy /dev/stdin <<'YAML'
name: projects/demo/policies/iam.disableServiceAccountKeyCreation
spec:
  rules:
    - enforce: true
YAML
